export { type Batch, type CollateOptions, collate, type PackedExample } from './batch.js';
export { lengthGroupedOrder, shuffledOrder } from './order.js';
export { pack } from './pack.js';
export { readJsonl } from './read-jsonl.js';
export {
  type ChatMessage,
  type ChatRow,
  type CompletionRow,
  datasetError,
  formatRowError,
  type Row,
  type RowError,
  type RowFormat,
  type TextRow,
  type TokensRow,
} from './row.js';
export { markTrained, type Segment } from './segments.js';
export { type DatasetStatistics, datasetStatistics, type LengthStatistics } from './statistics.js';
export {
  IGNORED_LABEL,
  type RowTemplate,
  type RowTokenizer,
  type TokenizedDataset,
  type TokenizedExample,
  type TokenizedRow,
  type TokenizeOptions,
  tokenizeRow,
  tokenizeRows,
} from './tokenize.js';
