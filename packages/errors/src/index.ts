export { isQLoraError, QLoraError, type QLoraErrorKind, type QLoraErrorOptions } from './error.js';
export { parseJson } from './parse-json.js';
