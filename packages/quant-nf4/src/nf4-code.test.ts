import fc from 'fast-check';
import { expect, test } from 'vitest';
import { bitsOf, fixtureJson } from '../test/fixtures.js';
import { NF4_CODE, NF4_THRESHOLDS, nf4CodeOf } from './nf4-code.js';

const hex = (values: Float32Array) =>
  [...bitsOf(values)].map((bits) => `0x${bits.toString(16).padStart(8, '0')}`);

test('the values and the thresholds are those of bitsandbytes, bit for bit', () => {
  const facts = fixtureJson<Record<string, string[]>>('nf4.json');
  expect(hex(NF4_CODE)).toEqual(facts.nf4_codes_hex);
  expect(hex(NF4_THRESHOLDS)).toEqual(facts.cuda_thresholds_hex);
});

const thresholdsBelow = (x: number) => NF4_THRESHOLDS.filter((each) => x > each).length;

/** The f32 that is `steps` representable values away. */
function step(x: number, steps: number): number {
  const word = Float32Array.of(x);
  new Int32Array(word.buffer)[0]! += steps;
  return word[0]!;
}

test('a threshold and its neighbours get the code of the definition', () => {
  for (const threshold of NF4_THRESHOLDS) {
    for (const steps of [-2, -1, 0, 1, 2]) {
      const x = step(threshold, steps);
      expect(nf4CodeOf(x)).toBe(thresholdsBelow(x));
    }
  }
});

test('every value gets its own code, also one step beyond ±1', () => {
  for (const [code, value] of NF4_CODE.entries()) expect(nf4CodeOf(value)).toBe(code);
  expect(nf4CodeOf(step(1, 1))).toBe(15);
  expect(nf4CodeOf(step(-1, 1))).toBe(0);
  expect(nf4CodeOf(-0)).toBe(7);
  for (const tiny of [1e-45, -1e-45, 1e-20, -1e-20]) expect(nf4CodeOf(tiny)).toBe(7);
});

test('any value gets the code of the definition', () => {
  fc.assert(
    fc.property(fc.float({ min: -1, max: 1, noNaN: true }), (x) => {
      expect(nf4CodeOf(x)).toBe(thresholdsBelow(x));
    }),
    { numRuns: 2000 },
  );
  for (let i = 0; i <= 100_000; i += 1) {
    const x = Math.fround(i / 50_000 - 1);
    if (nf4CodeOf(x) !== thresholdsBelow(x)) expect.fail(`code of ${x}`);
  }
});
