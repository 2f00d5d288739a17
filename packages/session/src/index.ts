export { type Base, readBase } from './base.js';
export {
  type Answer,
  type AnswerContext,
  answer,
  systemMessage,
  tokensOf,
} from './chat/answer.js';
export {
  type ChatFormat,
  chooseChatFormat,
  ownFormat,
  promptIds,
} from './chat/chat-format.js';
export { type Compared, compareVoices } from './chat/compare.js';
export { Conversation, type Turn } from './chat/conversation.js';
export { commonSystemPrompt, readSystemPrompt, withSystemPrompt } from './chat/system-prompt.js';
export { readTokenizer } from './chat/tokenizer-files.js';
export { type AdapterFolder, addVoice, readAdapter, type Voice, voiceOf } from './chat/voice.js';
export { embeddingShape } from './embedding-shape.js';
export { formatBytes, formatCount, formatDuration, formatRate } from './format.js';
export {
  type FileRequest,
  fetchFile,
  type PartialFile,
  type RemoteFile,
} from './hub/fetch-file.js';
export { hubFiles, isHubId, type WantedFiles } from './hub/hub-files.js';
export {
  type Digest,
  type HubAccess,
  type HubFile,
  type HubListing,
  listModel,
} from './hub/listing.js';
export { type ByteSink, Nf4Writer } from './nf4-writer.js';
export type { Notices } from './notices.js';
export {
  adapterOption,
  adaptersOption,
  backendOptions,
  baseOption,
  optionalBaseOption,
  quantizationOptions,
  uiOptions,
} from './options/common-options.js';
export { withDefaults } from './options/defaults.js';
export { type GenerationSettings, generationOptions } from './options/generation-options.js';
export { nearest } from './options/nearest.js';
export {
  camelCase,
  flagOf,
  type OptionSpec,
  type OptionsOf,
  type OptionTable,
  option,
  optional,
  required,
} from './options/table.js';
export { type TrainingOptions, trainingOptions } from './options/training-options.js';
export {
  anyText,
  byteSize,
  choice,
  integer,
  modules,
  number,
  patterns,
  text,
  texts,
  toggle,
  toggleOr,
  type ValueType,
  whole,
} from './options/value-types.js';
export {
  type BatchShape,
  batchOf,
  type DryRunArgs,
  type DryRunResult,
  dryRun,
  type MemoryOptions,
  type PlannedEngine,
} from './planning/dry-run.js';
export { type Change, type Fit, type FitOptions, findFit } from './planning/fit.js';
export { canPageBlocks, createPagers, type Pagers, type PagingOptions } from './planning/pagers.js';
export {
  expectRoom,
  type LoadingArgs,
  type LoadingPlan,
  planLoading,
} from './planning/plan-loading.js';
export {
  adviceOf,
  doesNotFit,
  type MemoryPlan,
  type PlanArgs,
  planTraining,
  secondsOf,
  UNKNOWN_MEMORY,
} from './planning/plan-training.js';
export { measureRate, STORED_RATES } from './planning/rate.js';
export { withQuantizationConfig } from './quantized-config.js';
export { jsonIfThere, textIfThere } from './read-folder.js';
export { adapterFiles, type FolderContent } from './training/adapter-files.js';
export { addedRows } from './training/added-rows.js';
export { evaluationBatches, splitExamples, trainingBatches } from './training/batch-source.js';
export { BestAdapter } from './training/best-adapter.js';
export { checkOptions } from './training/check-options.js';
export {
  CHECKPOINT_FILES,
  type CheckpointContent,
  type CheckpointState,
  checkpointFiles,
  readCheckpoint,
  type TrainingArgs,
} from './training/checkpoint.js';
export {
  addedIds,
  batchExamples,
  formatForRows,
  maxSeqLength,
  type PreparedData,
  tokenizeOptions,
} from './training/data.js';
export { type Figures, History, type HistoryEntry, type StepRecord } from './training/history.js';
export {
  endsWithBest,
  loopOptions,
  type PreparedLoop,
  stepOptions,
} from './training/loop-options.js';
export { adapterParameters, loraConfig } from './training/lora-config.js';
export { plotLosses } from './training/loss-plot.js';
export { modelCard, type RunSummary } from './training/model-card.js';
export { optimizerOptions } from './training/optimizer-options.js';
export { planRun, type RunPlan } from './training/run-plan.js';
export { formatRunState, parseRunState, type RunState } from './training/run-state.js';
export { type AdapterOrigin, startAdapter } from './training/start-adapter.js';
export { type Trainable, type TrainableParts, trainable } from './training/trainable.js';
export {
  formatTrainerState,
  parseTrainerState,
  type StateOptions,
  stateOptions,
} from './training/trainer-state.js';
export { turn } from './turn.js';
