export { isQLoraError, QLoraError, type QLoraErrorKind, type QLoraErrorOptions } from './error.js';
