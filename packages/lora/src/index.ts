export {
  type CreateAdapterOptions,
  createAdapter,
  createEmptyAdapter,
  type LoraAdapter,
  type LoraLinear,
  type SavedModule,
  type TrainableRows,
} from './adapter.js';
export { type CombinationType, type CombineOptions, combineAdapters } from './combine.js';
export {
  defaultLoraConfig,
  type LoraConfig,
  PEFT_VERSION,
  PHI_TARGET_MODULES,
  type TrainableTokenIndices,
} from './config.js';
export {
  type DoraArgs,
  type DoraLinear,
  doraBackward,
  doraCombine,
  doraForward,
  doraInverseNorms,
  isDora,
} from './dora-linear.js';
export { dropsHeadBias } from './head-bias.js';
export {
  type LoraBackwardArgs,
  type LoraBackwardOf,
  type LoraDropout,
  type LoraForwardArgs,
  type LoraHiddenArgs,
  loraBackward,
  loraForward,
  loraGradients,
  loraHidden,
  loraHiddenOf,
  loraInputGradient,
  loraUpdate,
} from './lora-linear.js';
export {
  type DoraMatrices,
  type LoraMatrices,
  mergeDora,
  mergeLora,
  mergeTokenRows,
  unmergeLora,
} from './merge.js';
export { checkUnmerge, mergeAdapter, updateOf } from './merge-adapter.js';
export { decaysByName, loraPlusRates } from './parameter-groups.js';
export { formatPeftConfig, type ParsedPeftConfig, parsePeftConfig } from './peft-config.js';
export {
  exportPeftAdapter,
  loadAdapter,
  type PeftAdapterFiles,
  readPeftAdapter,
} from './peft-files.js';
export type { BaseShapes, EmbeddingShape, TokenModule } from './plan.js';
export type { SavableModule } from './saved-modules.js';
export { matchTargets, rankAndScaling, type TargetShape, unmatchedTargets } from './targets.js';
