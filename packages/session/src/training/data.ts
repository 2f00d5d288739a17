import type { Batch, Row, TokenizedExample, TokenizeOptions } from '@qlorajs/dataset';
import { QLoraError } from '@qlorajs/errors';
import type { Tokenizer } from '@qlorajs/tokenizer';
import type { BatchSource } from '@qlorajs/trainer';
import type { Base } from '../base.js';
import { type ChatFormat, chooseChatFormat, ownFormat } from '../chat/chat-format.js';
import type { TrainingOptions } from '../options/training-options.js';
import { evaluationBatches, splitExamples, trainingBatches } from './batch-source.js';

/** Default of `max_seq_length`, as TRL's `max_length`; a shorter context wins. */
const DEFAULT_MAX_SEQ_LENGTH = 1024;

/** What a run learns from, ready in batches. */
export interface PreparedData {
  /** null: the base has none, and every row was tokenized already. */
  readonly tokenizer: Tokenizer | null;
  /** null: there are no chats and the base has no chat template. */
  readonly format: ChatFormat | null;
  /** The system message that most chats begin with. */
  readonly systemPrompt: string | null;
  /** Examples that are trained on. */
  readonly examples: number;
  readonly train: BatchSource<Batch>;
  readonly evaluation: BatchSource<Batch> | null;
}

/** Tokens that the chat format added, which the base never saw. */
export function addedIds({ format }: Pick<PreparedData, 'format'>): readonly number[] {
  return format?.addedIds ?? [];
}

/** The limit on a row's tokens. @throws QLoraError `OPTION_VALUE` above the base's context */
export function maxSeqLength(given: number | undefined, base: Base): number {
  const context = base.config.maxPositions;
  if (given !== undefined && given > context)
    throw new QLoraError(
      'OPTION_VALUE',
      `--max-seq-length ${given} is more than the context of ${base.name}, ${context} tokens`,
      { details: { option: 'max_seq_length', context } },
    );
  return given ?? Math.min(context, DEFAULT_MAX_SEQ_LENGTH);
}

/** The chat format, if rows need one or it was asked for; only then are tokens added. */
export function formatForRows(
  tokenizer: Tokenizer | null,
  rows: readonly Row[],
  choice: Parameters<typeof chooseChatFormat>[1],
  base: Base,
): ChatFormat | null {
  if (tokenizer === null) return null;
  const hasChats = rows.some(({ kind }) => kind === 'chat');
  if (!hasChats && choice === undefined) return ownFormat(tokenizer);
  return chooseChatFormat(tokenizer, choice, base.config.vocabSize);
}

/** How rows become tokens in a run. */
export function tokenizeOptions(
  options: TrainingOptions,
  base: Base,
  { tokenizer, format }: Pick<PreparedData, 'tokenizer' | 'format'>,
): Omit<TokenizeOptions, 'file'> {
  return {
    tokenizer,
    template: format?.template ?? null,
    trainOn: options.trainOn,
    maxSeqLength: maxSeqLength(options.maxSeqLength, base),
    truncation: options.truncation,
    vocabSize: base.config.vocabSize,
  };
}

/**
 * Examples in batches; `eval_split` of them held out unless others are given for that.
 * @returns the batches, and the examples of each kind
 * @throws QLoraError `OPTION_VALUE` when none is left to learn from
 */
export function batchExamples(
  all: readonly TokenizedExample[],
  given: readonly TokenizedExample[] | null,
  options: TrainingOptions,
  { padId, maxSeqLength: limit }: { readonly padId: number; readonly maxSeqLength: number },
) {
  const { kept, held } = splitExamples(all, options.evalSplit ?? 0, options.seed);
  const evaluated = given ?? held;
  if (kept.length === 0)
    throw new QLoraError(
      'OPTION_VALUE',
      `--eval-split ${options.evalSplit} leaves none of ${all.length} rows to learn from`,
    );
  const batching = { batchSize: options.perDeviceTrainBatchSize, padId };
  const train = trainingBatches(kept, {
    ...batching,
    packedLength: options.packing ? limit : null,
    shuffleSeed: options.shuffle ? options.seed : null,
    groupedRows: options.groupByLength
      ? options.perDeviceTrainBatchSize * options.gradientAccumulationSteps
      : null,
  });
  const evaluation = evaluated.length === 0 ? null : evaluationBatches(evaluated, batching);
  return { kept, evaluated, train, evaluation };
}
