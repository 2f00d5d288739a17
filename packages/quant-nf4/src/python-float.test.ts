import { expect, test } from 'vitest';
import { golden } from '../test/fixtures.js';
import { pythonFloat } from './python-float.js';

/** Python's `float.hex()` back into a number. */
function fromHex(text: string): number {
  const [, sign, whole, fraction, exponent] = /^(-?)0x(\d)\.?([0-9a-f]*)p([+-]\d+)$/.exec(text)!;
  const digits = BigInt(`0x${whole}${fraction}`);
  // Two factors, since 2^-1074 alone holds the smallest subnormal.
  const power = Number(exponent) - 4 * fraction!.length;
  const half = Math.trunc(power / 2);
  return (sign === '-' ? -1 : 1) * Number(digits) * 2 ** half * 2 ** (power - half);
}

test.each(golden.pythonFloats)('%s is %s', (hex, repr) => {
  const value = fromHex(hex);
  expect(pythonFloat(value)).toBe(repr);
  expect(Number(repr)).toBe(value);
});
