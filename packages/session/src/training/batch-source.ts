import {
  type Batch,
  collate,
  lengthGroupedOrder,
  type PackedExample,
  pack,
  shuffledOrder,
  type TokenizedExample,
} from '@qlorajs/dataset';
import type { BatchSource } from '@qlorajs/trainer';

type Row = TokenizedExample | PackedExample;

function realTokens(batch: Batch): number {
  return batch.lengths.reduce((sum, length) => sum + length, 0);
}

/** `lines 3, 17 and 4`, of the dataset's file. */
function describeBatch({ lines }: Batch): string {
  const all = lines.flat();
  const shown = all.slice(0, 32).join(', ');
  return `${all.length === 1 ? 'line' : 'lines'} ${shown}${all.length > 32 ? ` and ${all.length - 32} more` : ''}`;
}

function sourceOf(
  rows: readonly Row[],
  batchSize: number,
  padId: number,
  orderOf: (epoch: number) => ArrayLike<number>,
): BatchSource<Batch> {
  return {
    batchesPerEpoch: Math.ceil(rows.length / batchSize),
    batches(epoch) {
      const ordered = Array.from(orderOf(epoch), (index) => rows[index]);
      return Array.from({ length: Math.ceil(rows.length / batchSize) }, (_, i) =>
        collate(ordered.slice(i * batchSize, (i + 1) * batchSize), { padId }),
      );
    },
    trainedTokens: (batch) => batch.trainedTokens,
    tokens: realTokens,
    describe: describeBatch,
  };
}

/** How examples become batches. */
export interface BatchOptions {
  readonly batchSize: number;
  readonly padId: number;
  /** Tokens of a packed row; null: every example is a row of its own. */
  readonly packedLength: number | null;
  /** Of the order, which is another one every epoch; null: as in the file. */
  readonly shuffleSeed: number | null;
  /** Rows of one optimizer step, to put rows of similar lengths into; null: as the order has them. */
  readonly groupedRows?: number | null;
}

/** Batches to learn from. */
export function trainingBatches(
  examples: readonly TokenizedExample[],
  { batchSize, padId, packedLength, shuffleSeed, groupedRows = null }: BatchOptions,
): BatchSource<Batch> {
  const rows = packedLength === null ? examples : pack(examples, { length: packedLength });
  const inOrder = rows.map((_, i) => i);
  const lengths = rows.map(({ inputIds }) => inputIds.length);
  return sourceOf(rows, batchSize, padId, (epoch) => {
    if (shuffleSeed === null) return inOrder;
    if (groupedRows !== null) return lengthGroupedOrder(lengths, groupedRows, shuffleSeed, epoch);
    const order = shuffledOrder(rows.length, shuffleSeed, epoch);
    return epoch === 0 ? longestFirst(order, lengths) : order;
  });
}

/**
 * The order with the longest row at its beginning, which changes its place with the one that was there:
 * a run that is short of memory fails, or is mended, in its first step.
 */
function longestFirst(order: Int32Array, lengths: readonly number[]): Int32Array {
  const longest = Math.max(...lengths);
  const at = order.findIndex((row) => lengths[row] === longest);
  const changed = order.slice();
  [changed[0], changed[at]] = [order[at], order[0]];
  return changed;
}

/** Batches that are only evaluated, in order. */
export function evaluationBatches(
  examples: readonly TokenizedExample[],
  { batchSize, padId }: Pick<BatchOptions, 'batchSize' | 'padId'>,
): BatchSource<Batch> {
  const inOrder = examples.map((_, i) => i);
  return sourceOf(examples, batchSize, padId, () => inOrder);
}

/**
 * Sets examples aside.
 * @param share a number of examples from 1 on, below 1 a share of them
 */
export function splitExamples<T>(
  examples: readonly T[],
  share: number,
  seed: number,
): { readonly kept: T[]; readonly held: T[] } {
  const count = share < 1 ? Math.round(share * examples.length) : Math.round(share);
  // Another stream than the epochs' orders, so that the split says nothing about them.
  const order = shuffledOrder(examples.length, seed ^ 0x5e1d, 0);
  const held = new Set(order.subarray(0, count));
  return {
    kept: examples.filter((_, i) => !held.has(i)),
    held: examples.filter((_, i) => held.has(i)),
  };
}
