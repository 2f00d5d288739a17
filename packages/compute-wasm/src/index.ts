export { createWasmBackend } from './backend.js';
export type { WasmOptions } from './engine/engine.js';
export { hasRelaxedSimd, type ProductTile, type RelaxedSimd } from './engine/kernels.js';
