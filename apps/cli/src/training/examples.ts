import { createHash } from 'node:crypto';
import {
  formatRowError,
  type Row,
  type RowError,
  readJsonl,
  type TokenizedDataset,
  type TokenizedExample,
  type TokenizeOptions,
  tokenizeRows,
} from '@qlorajs/dataset';
import { QLoraError } from '@qlorajs/errors';
import { readBytes } from '../io/read.js';
import type { Ui } from '../report/ui.js';

/** Lists every bad row on stderr, then gives the error to throw. */
export function badRows(file: string, errors: readonly RowError[], ui: Ui): QLoraError {
  ui.beforeLine?.();
  for (const error of errors) process.stderr.write(`${formatRowError(error)} [${error.code}]\n`);
  return new QLoraError(
    'DATASET_ROWS',
    `${file}: ${errors.length === 1 ? 'one row' : `${errors.length} rows`} cannot be used (listed above); mend them, nothing was written`,
    { details: { file, errors } },
  );
}

/** A dataset's rows, and the errors of those that cannot be read. */
export interface ReadRows {
  readonly rows: readonly Row[];
  readonly errors: readonly RowError[];
  /** Of the bytes that the rows were read from. */
  readonly sha256: string;
}

/** Reads a dataset; {@link tokenizeAll} says what is wrong with it, all at once. */
export async function readRows(file: string): Promise<ReadRows> {
  const bytes = await readBytes(file);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  return { ...readJsonl(bytes, { file }), sha256 };
}

/** SHA-256 of examples' tokens and labels, in order. */
export function hashExamples(examples: readonly TokenizedExample[]): string {
  const hash = createHash('sha256');
  for (const { inputIds, labels } of examples) hash.update(inputIds).update(labels);
  return hash.digest('hex');
}

/** The first of some line numbers. */
export function listed(lines: readonly number[]): string {
  return `${lines.slice(0, 8).join(', ')}${lines.length > 8 ? ' …' : ''}`;
}

/** Rows as examples; what was left out or cut is told. @throws QLoraError `DATASET_ROWS` */
export function tokenizeAll(
  { rows, errors: unreadable }: Pick<ReadRows, 'rows' | 'errors'>,
  options: TokenizeOptions,
  ui: Ui,
): TokenizedDataset {
  const dataset = tokenizeRows(rows, options);
  const { file, maxSeqLength } = options;
  const errors = [...unreadable, ...dataset.errors].sort((a, b) => a.line - b.line);
  if (errors.length > 0) throw badRows(file, errors, ui);
  const { dropped, truncated } = dataset;
  if (dropped.length > 0)
    ui.warn(
      `${file}: ${dropped.length} rows longer than ${maxSeqLength} tokens are left out (lines ${listed(dropped)})`,
    );
  if (truncated.length > 0)
    ui.warn(
      `${file}: ${truncated.length} rows are cut at ${maxSeqLength} tokens, stop token included (lines ${listed(truncated)})`,
    );
  if (dataset.examples.length === 0)
    throw new QLoraError('DATASET_NO_ROWS', `${file}: no row is left to learn from`, {
      details: { file },
    });
  return dataset;
}
