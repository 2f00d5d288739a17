import { expect, test } from 'vitest';
import { bootstrap } from './bootstrap.js';

/** A fixed, scattered sample. */
const values = Array.from({ length: 200 }, (_, i) => Math.sin(i * 12.9898) * 10);
const ones = values.map(() => 1);
const mean = ([ratio]: readonly number[]) => ratio;

test("the interval of a mean is the normal theory's, and the same seed gives the same one", () => {
  const found = bootstrap([{ numerators: values, denominators: ones }], mean, {
    resamples: 20_000,
  })!;
  const average = values.reduce((a, b) => a + b, 0) / values.length;
  const variance = values.reduce((sum, each) => sum + (each - average) ** 2, 0) / values.length;
  const error = Math.sqrt(variance / values.length);
  expect(found.value).toBeCloseTo(average, 12);
  expect(found.low).toBeCloseTo(average - 1.96 * error, 1);
  expect(found.high).toBeCloseTo(average + 1.96 * error, 1);
  const again = bootstrap([{ numerators: values, denominators: ones }], mean, {
    resamples: 20_000,
  });
  expect(again).toEqual(found);
  const other = bootstrap([{ numerators: values, denominators: ones }], mean, { seed: 7 })!;
  expect(other.low).not.toBe(found.low);
});

test('units are weighed by their denominators, and those without one do not count', () => {
  const ratio = { numerators: [2, 30, 99], denominators: [1, 3, 0] };
  expect(bootstrap([ratio], mean)).toMatchObject({ value: 8, n: 2, low: 2, high: 10 });
  expect(bootstrap([{ numerators: [1], denominators: [0] }], mean)).toBe(null);
});

test('a difference on the same units is paired: what both share leaves no spread', () => {
  const a = { numerators: values.map((each) => each + 1), denominators: ones };
  const b = { numerators: values, denominators: ones };
  const found = bootstrap([a, b], ([x, y]) => x - y)!;
  for (const each of [found.value, found.low, found.high]) expect(each).toBeCloseTo(1, 9);
});
