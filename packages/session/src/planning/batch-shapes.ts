import type { Batch } from '@qlorajs/dataset';
import type { BatchSource } from '@qlorajs/trainer';
import type { BatchShape } from './dry-run.js';

/** Epochs whose batches are looked at: orders differ, and with them what meets in a batch. */
const EPOCHS = 3;

function largest(batches: readonly Batch[]): BatchShape {
  const most = (of: (batch: Batch) => number) => Math.max(...batches.map(of));
  return {
    batchSize: most(({ batchSize }) => batchSize),
    length: most(({ length }) => length),
    trainedTokens: most(({ trainedTokens }) => trainedTokens),
    packed: batches.some(({ firstKeys }) => firstKeys !== undefined),
  };
}

/** The sizes that buffers grow to over a run of so many micro-batches. */
export function largestShape(source: BatchSource<Batch>, microBatches: number): BatchShape {
  const epochs = Math.min(EPOCHS, Math.ceil(microBatches / source.batchesPerEpoch));
  const all = Array.from({ length: Math.max(1, epochs) }, (_, epoch) =>
    source.batches(epoch),
  ).flat();
  return largest(all.slice(0, Math.max(1, microBatches)));
}

/** Cells of an epoch's batches, padding included, over those of as many batches of the largest size. */
export function fillShare(source: BatchSource<Batch>): number {
  const batches = source.batches(0);
  const { batchSize, length } = largest(batches);
  const cells = batches.reduce((sum, batch) => sum + batch.batchSize * batch.length, 0);
  return cells / (batches.length * batchSize * length);
}
