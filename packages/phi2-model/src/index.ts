export {
  checkBatch,
  type LabelledBatch,
  type TokenBatch,
  trainedPositions,
} from './batch.js';
export { type PhiConfig, parsePhiConfig } from './config.js';
export { Decoder } from './decoder.js';
export { type GenerateOptions, generate } from './generate.js';
export {
  GenerationPool,
  type PoolLoad,
  type PoolOptions,
  type PoolRequest,
} from './generation-pool.js';
export { type LoadOptions, type LoadReport, uploadNf4 } from './load.js';
export { loadPhi } from './load-phi.js';
export { type LogitsOptions, processLogits } from './logits-processor.js';
export { PhiModel } from './model.js';
export { type PlanOptions, planPhi } from './plan.js';
export {
  type SampledToken,
  type SamplingOptions,
  sampleToken,
  type TokenLogprob,
} from './sampler.js';
export { phiSavableModules } from './saved-modules.js';
export type { FinishReason, SequenceOptions } from './sequence.js';
export { StopStrings } from './stop-strings.js';
export {
  BLOCK_LINEARS,
  type BlockLinear,
  type CheckpointEntry,
  checkTensors,
  phiModules,
  phiTensors,
} from './tensors.js';
export type { BatchLoss, PendingLoss, TrainOptions } from './training-pass.js';
export { Workspace } from './workspace.js';
