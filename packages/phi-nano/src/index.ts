export { type ModelFolder, phiNano } from './phi-nano.js';
