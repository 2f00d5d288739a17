import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { roundToDtype } from './round-to-dtype.js';

/** Value of a half's bit pattern, from the definition of IEEE 754 binary16. */
function halfValue(pattern: number): number {
  const exponent = (pattern >> 10) & 31;
  const fraction = pattern & 1023;
  return exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25);
}

function bfloat16Value(pattern: number): number {
  return new Float32Array(Uint32Array.of(pattern << 16).buffer)[0]!;
}

/** Nearest of all valueAt values by search; a tie goes to the even pattern. */
function nearest(x: number, valueAt: (pattern: number) => number, largest: number): number {
  const magnitude = Math.abs(x);
  let low = 0;
  let high = largest + 1; // stands for the first power of two beyond the range
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (valueAt(middle) <= magnitude) low = middle;
    else high = middle;
  }
  const top = 2 * valueAt(largest) - valueAt(largest - 1);
  const upper = high > largest ? top : valueAt(high);
  const below = magnitude - valueAt(low);
  const above = upper - magnitude;
  const pattern = below < above || (below === above && low % 2 === 0) ? low : high;
  const value = pattern > largest ? Infinity : valueAt(pattern);
  return Object.is(x, -0) || x < 0 ? -value : value;
}

describe.each([
  ['float16', halfValue, 0x7bff],
  ['bfloat16', bfloat16Value, 0x7f7f],
] as const)('%s', (dtype, valueAt, largest) => {
  const check = (x: number) => {
    const rounded = roundToDtype(x, dtype);
    const expected = nearest(x, valueAt, largest);
    if (!Object.is(rounded, expected)) expect.fail(`${x}: ${rounded}, not ${expected}`);
  };

  test('keeps every value of the type', () => {
    for (let pattern = 0; pattern <= largest; pattern += 1) {
      const value = valueAt(pattern);
      if (!Object.is(roundToDtype(value, dtype), value)) expect.fail(`${value}`);
      if (!Object.is(roundToDtype(-value, dtype), -value)) expect.fail(`${-value}`);
    }
  });

  test('rounds midpoints to even, and their neighbours to the nearest', () => {
    for (let pattern = 0; pattern < largest; pattern += 7) {
      const middle = (valueAt(pattern) + valueAt(pattern + 1)) / 2;
      const word = Float32Array.of(middle);
      const bits = new Int32Array(word.buffer);
      for (const step of [0, 1, -2]) {
        bits[0]! += step;
        check(word[0]!);
        check(-word[0]!);
      }
    }
  });

  test('rounds any f32 to the nearest', () => {
    fc.assert(
      fc.property(fc.float({ noNaN: true, noDefaultInfinity: true }), (x) => check(x)),
      { numRuns: 3000 },
    );
  });

  test('overflows to infinity from half a step beyond the largest', () => {
    const half = (valueAt(largest) - valueAt(largest - 1)) / 2;
    const limit = valueAt(largest) + half;
    expect(roundToDtype(limit, dtype)).toBe(Infinity);
    expect(roundToDtype(-limit, dtype)).toBe(-Infinity);
    expect(roundToDtype(valueAt(largest) + half / 2, dtype)).toBe(valueAt(largest));
  });
});

test('float32 is left alone', () => {
  expect(roundToDtype(0.1, 'float32')).toBe(0.1);
});
