export { createWebGpuBackend, type WebGpuBackend, type WebGpuOptions } from './backend.js';
export type { Tier } from './device/request.js';
