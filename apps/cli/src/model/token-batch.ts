import { QLoraError } from '@qlorajs/errors';
import type { TokenBatch } from '@qlorajs/phi2-model';

function matrix(value: unknown, name: string, file: string): number[][] {
  const rows = value as number[][];
  const isMatrix =
    Array.isArray(value) &&
    rows.length > 0 &&
    rows.every((row) => Array.isArray(row) && row.length > 0 && row.every(Number.isSafeInteger));
  if (!isMatrix)
    throw new QLoraError('IDS_FORMAT', `${file}: ${name} must be a list of lists of integers`, {
      details: { file, key: name },
    });
  const uneven = rows.findIndex((row) => row.length !== rows[0].length);
  if (uneven >= 0)
    throw new QLoraError(
      'IDS_FORMAT',
      `${file}: row ${uneven} of ${name} has ${rows[uneven].length} entries, row 0 has ${rows[0].length}; pad the shorter rows and give an attention_mask`,
      { details: { file, key: name, row: uneven } },
    );
  return rows;
}

/** Where the real tokens of a row are. */
interface Run {
  readonly start: number;
  readonly length: number;
}

/** @throws QLoraError `IDS_MASK` unless the ones of the row lie side by side */
function runOf(row: readonly number[], index: number, file: string): Run {
  const start = row.indexOf(1);
  const length = row.filter((bit) => bit === 1).length;
  const isRun = row.every((bit, i) => bit === (i >= start && i < start + length ? 1 : 0));
  if (isRun && length > 0) return { start, length };
  throw new QLoraError(
    'IDS_MASK',
    `${file}: row ${index} of attention_mask must be one run of ones with zeros on its left or right; write rows with holes without their padding`,
    { details: { file, row: index } },
  );
}

/** The values of row `b`, `start` places to the left; what leaves there comes back on the right. */
function rotate(values: Int32Array | Float32Array, b: number, width: number, start: number): void {
  const row = values.subarray(b * width, (b + 1) * width);
  const head = row.slice(0, start);
  row.copyWithin(0, start);
  row.set(head, width - start);
}

/** Token rows as the model takes them, padded on the right, and the way back. */
export interface IdsBatch extends TokenBatch {
  /** Puts values `[B, T, width]` of the model, in place, where the file has their tokens. */
  restore(values: Float32Array, width: number): void;
}

/**
 * Rows of token ids from `{"input_ids": [[…]], "attention_mask": [[…]]}`. Padding may be on the left,
 * as transformers' generation has it, or on the right: rows begin at position 0 with their first
 * real token (`position_ids = cumsum(mask) - 1`), and nothing attends to padding.
 * @throws QLoraError `IDS_FORMAT`, `IDS_MASK`
 */
export function tokenBatch(json: unknown, file: string): IdsBatch {
  const { input_ids, attention_mask } = (json ?? {}) as Record<string, unknown>;
  const ids = matrix(input_ids, 'input_ids', file);
  const [batchSize, length] = [ids.length, ids[0].length];
  let runs: Run[] = ids.map(() => ({ start: 0, length }));
  if (attention_mask !== undefined) {
    const mask = matrix(attention_mask, 'attention_mask', file);
    if (mask.length !== batchSize || mask[0].length !== length)
      throw new QLoraError(
        'IDS_MASK',
        `${file}: attention_mask is [${mask.length}, ${mask[0].length}], input_ids is [${batchSize}, ${length}]; they must have one shape`,
      );
    runs = mask.map((row, i) => runOf(row, i, file));
  }
  const inputIds = Int32Array.from(ids.flat());
  for (const [b, { start }] of runs.entries()) rotate(inputIds, b, length, start);
  return {
    inputIds,
    lengths: Int32Array.from(runs.map((run) => run.length)),
    batchSize,
    length,
    restore(values, width) {
      for (const [b, { start }] of runs.entries())
        rotate(values, b, length * width, (length - start) * width);
    },
  };
}
