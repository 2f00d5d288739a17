import {
  markTrained,
  type Row,
  readJsonl,
  type TokenizedExample,
  tokenizeRows,
} from '@qlorajs/dataset';
import { QLoraError } from '@qlorajs/errors';
import {
  batchExamples,
  type ChatFormat,
  commonSystemPrompt,
  formatForRows,
  maxSeqLength,
  type PreparedData,
  readTokenizer,
  tokenizeOptions,
} from '@qlorajs/session';
import type { Tokenizer } from '@qlorajs/tokenizer';
import type { DataReport, Preview, RunOptions } from '../protocol.js';
import type { Bench } from './bench.js';

/** A dataset as it was dropped, read against the base. */
export interface ReadData {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly rows: readonly Row[];
  readonly examples: readonly TokenizedExample[];
  readonly tokenizer: Tokenizer | null;
  readonly format: ChatFormat | null;
  readonly report: DataReport;
}

/** Reads, checks and tokenizes a file; its mistakes are in the report. */
export async function readData(
  bench: Bench,
  name: string,
  bytes: Uint8Array,
  options: RunOptions,
): Promise<ReadData> {
  const { base } = bench.loaded;
  const { rows, errors: unreadable } = readJsonl(bytes, { file: name });
  const own = await readTokenizer(base.source);
  const format = formatForRows(own, rows, undefined, base);
  const tokenizer = format?.tokenizer ?? own;
  const how = tokenizeOptions(options, base, { tokenizer, format });
  const { examples, errors: untokenized } = tokenizeRows(rows, { ...how, file: name });
  const errors = [...unreadable, ...untokenized].sort((a, b) => a.line - b.line);
  const lines = errors.length > 0 ? new TextDecoder().decode(bytes).split('\n') : [];
  const lengths = examples.map(({ inputIds }) => inputIds.length);
  const trained = (labels: Int32Array) => labels.filter((label, i) => i > 0 && label >= 0).length;
  const report: DataReport = {
    name,
    rows: rows.length + unreadable.length,
    errors: errors.map(({ line, message, code }) => ({
      ...{ line, message, code },
      source: (lines[line - 1] ?? '').slice(0, 300),
    })),
    tokens: lengths.reduce((sum, each) => sum + each, 0),
    trainedTokens: examples.reduce((sum, { labels }) => sum + trained(labels), 0),
    longest: Math.max(0, ...lengths),
    limit: how.maxSeqLength,
    lines: examples.map(({ line }) => line),
  };
  return { name, bytes, rows, examples, tokenizer, format, report };
}

/** One row with its trained tokens marked. @throws QLoraError `DATASET_LINE` */
export function previewOf({ examples, tokenizer, name }: ReadData, line: number): Preview {
  const example = examples.find((each) => each.line === line);
  if (!example || !tokenizer)
    throw new QLoraError('DATASET_LINE', `${name}: line ${line} is no row that can be shown`);
  const { inputIds, labels } = example;
  const trained = labels.filter((label, i) => i > 0 && label >= 0).length;
  return { line, tokens: inputIds.length, trained, segments: markTrained(example, tokenizer) };
}

/** The rows in batches. @throws QLoraError `DATASET_ROWS` while there are mistakes */
export function prepareBatches(bench: Bench, data: ReadData, options: RunOptions): PreparedData {
  const { errors } = data.report;
  if (errors.length > 0)
    throw new QLoraError('DATASET_ROWS', `${data.name}: ${errors.length} rows cannot be used`, {
      details: { rows: errors.length },
    });
  if (data.examples.length === 0)
    throw new QLoraError('DATASET_NO_ROWS', `${data.name}: no row is left to learn from`);
  const { tokenizer, format } = data;
  const { kept, train, evaluation } = batchExamples(data.examples, null, options, {
    padId: tokenizer?.padId ?? 0,
    maxSeqLength: maxSeqLength(options.maxSeqLength, bench.loaded.base),
  });
  const systemPrompt = commonSystemPrompt(data.rows);
  return { tokenizer, format, systemPrompt, examples: kept.length, train, evaluation };
}
