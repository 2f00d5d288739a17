import { memoryFolder, openCheckpoint, writeSafetensors } from '@qlorajs/safetensors';
import { expect, test } from 'vitest';
import { addedRows } from './added-rows.js';

/** Column 0: 1, 3, 5 and a spare row; column 1: always 2. */
const table = {
  dtype: 'F32',
  shape: [4, 2],
  data: Float32Array.of(1, 2, 3, 2, 5, 2, 99, 99),
} as const;

test('new rows lie around the mean of the known ones, by their spread, each apart', async () => {
  const bytes = writeSafetensors({ 'lm_head.weight': table, 'model.embed_tokens.weight': table });
  const weights = await openCheckpoint(memoryFolder([['model.safetensors', bytes]]));
  const rows = await addedRows(weights, 'lm_head.weight', 3, 1000, 42);
  const first = rows.filter((_, i) => i % 2 === 0);
  const mean = first.reduce((a, b) => a + b, 0) / first.length;
  const deviation = Math.sqrt(first.reduce((a, b) => a + (b - mean) ** 2, 0) / first.length);
  expect(Math.abs(mean - 3)).toBeLessThan(0.03);
  expect(deviation).toBeCloseTo(0.1 * Math.sqrt(8 / 3), 1);
  expect(new Set(first).size).toBeGreaterThan(990);
  // A column without spread gets no noise.
  expect(new Set(rows.filter((_, i) => i % 2 === 1))).toEqual(new Set([2]));
  expect(await addedRows(weights, 'lm_head.weight', 3, 1000, 42)).toEqual(rows);
  expect(await addedRows(weights, 'model.embed_tokens.weight', 3, 1000, 42)).not.toEqual(rows);
});
