export { createAdamW, type Optimizer, type OptimizerState, type StepResult } from './adamw.js';
export type { AdamCoefficients, AdamWOptions } from './options.js';
