export {
  ADAM_BLOCK_SIZE,
  type Adam8bitState,
  type Adam32bitState,
  type AdamState,
  adamStateBytes,
  createAdamState,
  MIN_8BIT_SIZE,
} from './adam-state.js';
export {
  createAdamW,
  type MomentOptions,
  type Optimizer,
  type OptimizerState,
  type StepResult,
} from './adamw.js';
export { type AdamW8bitStepArgs, adamw8bitStep } from './adamw8bit.js';
export type { MomentBits } from './moments.js';
export type { AdamCoefficients, AdamWOptions } from './options.js';
export type { Page, PageAccess, PagerOptions, PagerStats, PageTensor } from './page.js';
export { createMemoryStore, type PageStore } from './page-store.js';
export { createPager, type Pager } from './pager.js';
