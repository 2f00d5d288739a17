import type { Batch, Row } from '@qlorajs/dataset';
import { QLoraError } from '@qlorajs/errors';
import type { Tokenizer } from '@qlorajs/tokenizer';
import type { BatchSource } from '@qlorajs/trainer';
import type { BaseFolder } from '../io/base-folder.js';
import { type ChatFormat, chooseChatFormat, ownFormat } from '../model/chat-format.js';
import { commonSystemPrompt } from '../model/system-prompt.js';
import { readTokenizer } from '../model/tokenizer-files.js';
import type { TrainingOptions } from '../options/training-options.js';
import type { Ui } from '../report/ui.js';
import { evaluationBatches, splitExamples, trainingBatches } from './batch-source.js';
import { hashExamples, type ReadRows, readRows, tokenizeAll } from './examples.js';

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
  readonly hashes: DataHashes;
}

/** What the data of a run is told from others by; null where there is none. */
export interface DataHashes {
  readonly dataSha256: string;
  readonly evalDataSha256: string | null;
  /** Of what the rows became: tokens and labels. */
  readonly examplesSha256: string;
}

/** Tokens that the chat format added, which the base never saw. */
export function addedIds({ format }: Pick<PreparedData, 'format'>): readonly number[] {
  return format?.addedIds ?? [];
}

/** The limit on a row's tokens. @throws QLoraError `OPTION_VALUE` above the base's context */
export function maxSeqLength(given: number | undefined, base: BaseFolder): number {
  const context = base.config.maxPositions;
  if (given !== undefined && given > context)
    throw new QLoraError(
      'OPTION_VALUE',
      `--max-seq-length ${given} is more than the context of ${base.name}, ${context} tokens`,
      { details: { option: 'max_seq_length', context } },
    );
  return given ?? Math.min(context, DEFAULT_MAX_SEQ_LENGTH);
}

/** Chooses and orders the rows of a file that are learnt from, or of one that is only evaluated. */
export type Arrange = (rows: readonly Row[], use: 'data' | 'eval_data') => readonly Row[];

/** The chat format, if rows need one or it was asked for; only then are tokens added. */
async function chatFormat(
  tokenizer: Tokenizer | null,
  rows: readonly Row[],
  choice: string | undefined,
  base: BaseFolder,
): Promise<ChatFormat | null> {
  if (tokenizer === null) return null;
  const hasChats = rows.some(({ kind }) => kind === 'chat');
  if (!hasChats && choice === undefined) return ownFormat(tokenizer);
  return chooseChatFormat(tokenizer, choice, base.config.vocabSize);
}

/**
 * Reads, checks, tokenizes and batches the training and evaluation rows.
 * @param arrange which rows of the files count, and in which order (default: as they are)
 */
export async function prepareData(
  options: TrainingOptions,
  base: BaseFolder,
  ui: Ui,
  arrange: Arrange = (rows) => rows,
): Promise<PreparedData> {
  const limit = maxSeqLength(options.maxSeqLength, base);
  const rowsOf = async (file: string, use: 'data' | 'eval_data'): Promise<ReadRows> => {
    const read = await readRows(file);
    return { ...read, rows: arrange(read.rows, use) };
  };
  const read = await rowsOf(options.data, 'data');
  const evalRead =
    options.evalData === undefined ? null : await rowsOf(options.evalData, 'eval_data');
  const own =
    (options.initAdapter === undefined ? null : await readTokenizer(options.initAdapter)) ??
    (await readTokenizer(base.path));
  const format = await chatFormat(
    own,
    [...read.rows, ...(evalRead?.rows ?? [])],
    options.chatTemplate,
    base,
  );
  const tokenizer = format?.tokenizer ?? own;
  const tokenizeOptions = {
    tokenizer,
    template: format?.template ?? null,
    trainOn: options.trainOn,
    maxSeqLength: limit,
    truncation: options.truncation,
    vocabSize: base.config.vocabSize,
  };
  const all = tokenizeAll(read, { ...tokenizeOptions, file: options.data }, ui).examples;
  const { kept, held } = splitExamples(all, options.evalSplit ?? 0, options.seed);
  const evaluated =
    options.evalData === undefined || evalRead === null
      ? held
      : tokenizeAll(evalRead, { ...tokenizeOptions, file: options.evalData }, ui).examples;
  if (kept.length === 0)
    throw new QLoraError(
      'OPTION_VALUE',
      `--eval-split ${options.evalSplit} leaves none of ${all.length} rows to learn from`,
    );
  const batching = {
    batchSize: options.perDeviceTrainBatchSize,
    padId: tokenizer?.padId ?? 0,
  };
  return {
    tokenizer,
    format,
    systemPrompt: commonSystemPrompt(read.rows),
    examples: kept.length,
    train: trainingBatches(kept, {
      ...batching,
      packedLength: options.packing ? limit : null,
      shuffleSeed: options.shuffle ? options.seed : null,
      groupedRows: options.groupByLength
        ? options.perDeviceTrainBatchSize * options.gradientAccumulationSteps
        : null,
    }),
    evaluation: evaluated.length === 0 ? null : evaluationBatches(evaluated, batching),
    hashes: {
      dataSha256: read.sha256,
      evalDataSha256: evalRead?.sha256 ?? null,
      examplesSha256: hashExamples([...kept, ...evaluated]),
    },
  };
}
