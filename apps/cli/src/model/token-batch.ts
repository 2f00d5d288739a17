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
      `${file}: row ${uneven} of ${name} has ${rows[uneven].length} entries, row 0 has ${rows[0].length}; pad on the right and give an attention_mask`,
      { details: { file, key: name, row: uneven } },
    );
  return rows;
}

/** Real tokens of a mask's row. @throws QLoraError `IDS_MASK` unless it is ones, then zeros */
function lengthOf(row: readonly number[], index: number, file: string): number {
  const length = row.filter((bit) => bit === 1).length;
  const isRightPadded = row.every((bit, i) => bit === (i < length ? 1 : 0));
  if (isRightPadded && length > 0) return length;
  throw new QLoraError(
    'IDS_MASK',
    `${file}: row ${index} of attention_mask must be ones followed by zeros; left padding and holes are not supported, move the padding to the right`,
    { details: { file, row: index } },
  );
}

/**
 * Rows of token ids from `{"input_ids": [[…]], "attention_mask": [[…]]}`.
 * @throws QLoraError `IDS_FORMAT`, `IDS_MASK`
 */
export function tokenBatch(json: unknown, file: string): TokenBatch {
  const { input_ids, attention_mask } = (json ?? {}) as Record<string, unknown>;
  const ids = matrix(input_ids, 'input_ids', file);
  const [batchSize, length] = [ids.length, ids[0].length];
  let lengths = ids.map(() => length);
  if (attention_mask !== undefined) {
    const mask = matrix(attention_mask, 'attention_mask', file);
    if (mask.length !== batchSize || mask[0].length !== length)
      throw new QLoraError(
        'IDS_MASK',
        `${file}: attention_mask is [${mask.length}, ${mask[0].length}], input_ids is [${batchSize}, ${length}]; they must have one shape`,
      );
    lengths = mask.map((row, i) => lengthOf(row, i, file));
  }
  return {
    inputIds: Int32Array.from(ids.flat()),
    lengths: Int32Array.from(lengths),
    batchSize,
    length,
  };
}
