import fc from 'fast-check';
import { expect, test } from 'vitest';
import { fixtureText } from '../test/fixture-folder.js';
import { mergeLora, mergeTokenRows, unmergeLora } from './index.js';

interface MergeFixture {
  readonly rank: number;
  readonly scaling: number;
  readonly a: number[];
  readonly b: number[];
  readonly weight: number[];
  readonly merged: number[];
}

test('gives the weight that PEFT merges', () => {
  for (const each of JSON.parse(fixtureText('lora-linear.json')) as MergeFixture[]) {
    const weight = Float32Array.from(each.weight);
    const [a, b] = [Float32Array.from(each.a), Float32Array.from(each.b)];
    mergeLora(weight, { a, b, rank: each.rank, scaling: each.scaling });
    const worst = Math.max(...each.merged.map((value, i) => Math.abs(value - weight[i]!)));
    expect(worst).toBeLessThan(2e-7);
  }
});

const values = (size: number) =>
  fc.array(fc.float({ min: -4, max: 4, noNaN: true }), { minLength: size, maxLength: size });

test('unmerge gives the weight back, up to rounding', () => {
  const sizes = fc.tuple(
    fc.integer({ min: 1, max: 5 }),
    fc.integer({ min: 1, max: 5 }),
    fc.integer({ min: 1, max: 4 }),
  );
  const cases = sizes.chain(([out, inputs, rank]) =>
    fc.record({
      rank: fc.constant(rank),
      weight: values(out * inputs),
      a: values(rank * inputs),
      b: values(out * rank),
    }),
  );
  fc.assert(
    fc.property(cases, (each) => {
      const weight = Float32Array.from(each.weight);
      const update = {
        a: Float32Array.from(each.a),
        b: Float32Array.from(each.b),
        rank: each.rank,
        scaling: 0.5,
      };
      mergeLora(weight, update);
      unmergeLora(weight, update);
      // One f32 rounding at a magnitude of at most 4 + 0.5 * 4 * 16.
      weight.forEach((value, i) => {
        expect(Math.abs(value - Math.fround(each.weight[i]!))).toBeLessThan(64 * 2 ** -23);
      });
    }),
  );
});

test('refuses a weight of another shape', () => {
  const update = { a: new Float32Array(6), b: new Float32Array(4), rank: 2, scaling: 1 };
  expect(() => mergeLora(new Float32Array(8), update)).toThrowError(/8 elements.*\[2, 3\]/);
});

test('puts token rows into their places', () => {
  const table = new Float32Array(8);
  mergeTokenRows(table, [3, 0], Float32Array.of(1, 2, 3, 4));
  expect([...table]).toEqual([3, 4, 0, 0, 0, 0, 1, 2]);
  expect(() => mergeTokenRows(table, [4], Float32Array.of(1, 2))).toThrowError(/do not fit/);
});
