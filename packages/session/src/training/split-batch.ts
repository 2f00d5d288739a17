import type { Batch } from '@qlorajs/dataset';

/** Some rows of a micro-batch, and where their tokens begin in it. */
export interface BatchPart {
  readonly batch: Batch;
  readonly firstToken: number;
}

/**
 * Cuts a micro-batch into parts of at most `rows` rows. They keep its length, so that they draw their
 * rows of its dropout masks and add up to its gradients.
 */
export function splitBatch(batch: Batch, rows: number): BatchPart[] {
  if (rows >= batch.batchSize) return [{ batch, firstToken: 0 }];
  const { length, batchSize, lengths, lines, positions, firstKeys } = batch;
  return Array.from({ length: Math.ceil(batchSize / rows) }, (_, i) => {
    const [from, to] = [i * rows, Math.min(batchSize, (i + 1) * rows)];
    const cells = (values: Int32Array) => values.slice(from * length, to * length);
    const labels = cells(batch.labels);
    const part: Batch = {
      ...{ length, labels, batchSize: to - from },
      inputIds: cells(batch.inputIds),
      lengths: lengths.slice(from, to),
      ...(positions ? { positions: cells(positions) } : {}),
      ...(firstKeys ? { firstKeys: cells(firstKeys) } : {}),
      trainedTokens: labels.filter((label, at) => label >= 0 && at % length > 0).length,
      lines: lines.slice(from, to),
    };
    return { batch: part, firstToken: from * length };
  });
}
