import type { Batch } from '@qlorajs/dataset';
import type { BatchSource } from '@qlorajs/trainer';

/** One line of rows.jsonl: tokens and labels as the model sees them. */
export interface TokenRow {
  readonly input_ids: readonly number[];
  /** Not shifted; -100: not trained. */
  readonly labels: readonly number[];
  /** With packing: tokens of each document in the row. */
  readonly documents?: readonly number[];
  /** Lines of the dataset's file. */
  readonly lines: readonly number[];
}

function documentsOf(firstKeys: ArrayLike<number>): number[] {
  const counts = new Map<number, number>();
  for (const first of Array.from(firstKeys)) counts.set(first, (counts.get(first) ?? 0) + 1);
  return [...counts.values()];
}

function rowOf(batch: Batch, index: number): TokenRow {
  const start = index * batch.length;
  const end = start + batch.lengths[index];
  return {
    input_ids: Array.from(batch.inputIds.subarray(start, end)),
    labels: Array.from(batch.labels.subarray(start, end)),
    ...(batch.firstKeys && { documents: documentsOf(batch.firstKeys.subarray(start, end)) }),
    lines: batch.lines[index],
  };
}

/** The rows of a batch source, in the order of the dataset's lines, and their numbers. */
export class RowTable {
  readonly rows: readonly TokenRow[];
  readonly #numbers: ReadonlyMap<string, number>;

  constructor(source: BatchSource<Batch>) {
    this.rows = source
      .batches(0)
      .flatMap((batch) => Array.from({ length: batch.batchSize }, (_, i) => rowOf(batch, i)))
      .sort((a, b) => a.lines[0] - b.lines[0]);
    this.#numbers = new Map(this.rows.map(({ lines }, i) => [lines.join(), i]));
  }

  /** Row numbers of a batch of the same source. */
  numbersOf(batch: Batch): number[] {
    return batch.lines.map((lines) => this.#numbers.get(lines.join())!);
  }
}

/** Values as JSONL. */
export function jsonLines(values: readonly unknown[]): string {
  return values.map((value) => `${JSON.stringify(value)}\n`).join('');
}
