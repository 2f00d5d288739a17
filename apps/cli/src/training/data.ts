import type { Row } from '@qlorajs/dataset';
import {
  type Base,
  batchExamples,
  type ChatFormat,
  commonSystemPrompt,
  formatForRows,
  maxSeqLength,
  type PreparedData as PreparedBatches,
  readTokenizer,
  type TrainingOptions,
  tokenizeOptions,
} from '@qlorajs/session';
import type { Tokenizer } from '@qlorajs/tokenizer';
import { folderSource } from '../io/file-source.js';
import { readText } from '../io/read.js';
import type { Ui } from '../report/ui.js';
import { hashExamples, type ReadRows, readRows, tokenizeAll } from './examples.js';

/** What a run learns from, ready in batches. */
export interface PreparedData extends PreparedBatches {
  readonly hashes: DataHashes;
}

/** What the data of a run is told from others by; null where there is none. */
export interface DataHashes {
  readonly dataSha256: string;
  readonly evalDataSha256: string | null;
  /** Of what the rows became: tokens and labels. */
  readonly examplesSha256: string;
}

/** Chooses and orders the rows of a file that are learnt from, or of one that is only evaluated. */
export type Arrange = (rows: readonly Row[], use: 'data' | 'eval_data') => readonly Row[];

/** `--chat-template`: a word, or a file with a Jinja template. */
export async function templateChoice(given: string | undefined) {
  if (given === undefined || given === 'tutor' || given === 'base') return given;
  return { source: await readText(given) };
}

async function tokenizerOf(options: TrainingOptions, base: Base): Promise<Tokenizer | null> {
  const { initAdapter } = options;
  const own = initAdapter === undefined ? null : await readTokenizer(folderSource(initAdapter));
  return own ?? (await readTokenizer(base.source));
}

/**
 * Reads, checks, tokenizes and batches the training and evaluation rows.
 * @param arrange which rows of the files count, and in which order (default: as they are)
 */
export async function prepareData(
  options: TrainingOptions,
  base: Base,
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
  const own = await tokenizerOf(options, base);
  const rows = [...read.rows, ...(evalRead?.rows ?? [])];
  const choice = await templateChoice(options.chatTemplate);
  const format: ChatFormat | null = formatForRows(own, rows, choice, base);
  const tokenizer = format?.tokenizer ?? own;
  const how = tokenizeOptions(options, base, { tokenizer, format });
  const all = tokenizeAll(read, { ...how, file: options.data }, ui).examples;
  const given =
    options.evalData === undefined || evalRead === null
      ? null
      : tokenizeAll(evalRead, { ...how, file: options.evalData }, ui).examples;
  const { kept, evaluated, train, evaluation } = batchExamples(all, given, options, {
    padId: tokenizer?.padId ?? 0,
    maxSeqLength: limit,
  });
  return {
    tokenizer,
    format,
    systemPrompt: commonSystemPrompt(read.rows),
    examples: kept.length,
    train,
    evaluation,
    hashes: {
      dataSha256: read.sha256,
      evalDataSha256: evalRead?.sha256 ?? null,
      examplesSha256: hashExamples([...kept, ...evaluated]),
    },
  };
}
