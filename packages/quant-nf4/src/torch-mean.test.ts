import fc from 'fast-check';
import { expect, test } from 'vitest';
import { golden } from '../test/fixtures.js';
import { torchMean } from './torch-mean.js';

/** The same values as in `tools/reference/bnb_nf4_golden.py`: a hash of the index, in [0, 1). */
function hashed(count: number): Float32Array {
  return Float32Array.from(
    { length: count },
    (_, i) => (Math.imul(i + 1, 2654435761) >>> 8) / 2 ** 24,
  );
}

test.each(golden.means)('%i values: the mean is that of torch', (count, mean) => {
  expect(torchMean(hashed(count))).toBe(mean);
});

test('the mean is as near to the exact one as f32 in a cascade can be', () => {
  fc.assert(
    fc.property(
      fc.float32Array({ min: 0, max: 1000, noNaN: true, minLength: 1, maxLength: 3000 }),
      (values) => {
        const exact = values.reduce((sum, value) => sum + value, 0) / values.length;
        expect(Math.abs(torchMean(values) - exact)).toBeLessThanOrEqual(exact * 1e-5 + 1e-40);
      },
    ),
  );
});
