import type { Tolerance } from './tolerances.js';

/** One element that is off. */
export interface Mismatch {
  readonly index: number;
  readonly actual: number;
  readonly expected: number;
}

/** The elements out of tolerance; a NaN on one side alone, or another length, always is. */
export function compareValues(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance: Tolerance,
): Mismatch[] {
  if (actual.length !== expected.length)
    return [{ index: -1, actual: actual.length, expected: expected.length }];
  let largest = 0;
  for (let i = 0; i < expected.length; i++)
    if (Number.isFinite(expected[i])) largest = Math.max(largest, Math.abs(expected[i]));
  const limit = tolerance.absolute + tolerance.relative * largest;
  const mismatches: Mismatch[] = [];
  for (let i = 0; i < expected.length; i++) {
    const same = Object.is(actual[i], expected[i]) || Math.abs(actual[i] - expected[i]) <= limit;
    if (!same) mismatches.push({ index: i, actual: actual[i], expected: expected[i] });
  }
  return mismatches;
}
