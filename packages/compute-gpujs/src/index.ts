export { createGpuJsBackend, type GpuJsOptions } from './backend.js';
export { GPUJS_MODES, type GpuJsMode, hasWebGl2 } from './device.js';
export type { GpuJsConstructor } from './gpu-js.js';
