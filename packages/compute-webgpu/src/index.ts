export { createWebGpuBackend, type WebGpuBackend, type WebGpuOptions } from './backend.js';
export type { PlannedProgram } from './device/pipelines.js';
export type { Tier } from './device/request.js';
export { createPlanningBackend, type PlanningOptions } from './planning.js';
