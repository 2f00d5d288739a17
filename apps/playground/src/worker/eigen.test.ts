import fc from 'fast-check';
import { expect, test } from 'vitest';
import { singularValuesOfProduct, symmetricEigen } from './eigen.js';

const values = (length: number) =>
  fc.array(fc.double({ min: -2, max: 2, noNaN: true }), { minLength: length, maxLength: length });

test('eigenvectors rebuild the matrix', () => {
  fc.assert(
    fc.property(values(16), (x) => {
      const n = 4;
      const matrix = new Float64Array(16);
      for (let i = 0; i < n; i++)
        for (let j = 0; j < n; j++) matrix[i * n + j] = x[i * n + j] + x[j * n + i];
      const { values: found, vectors } = symmetricEigen(matrix, n);
      for (let i = 0; i < n; i++)
        for (let j = 0; j < n; j++) {
          let sum = 0;
          for (let k = 0; k < n; k++) sum += vectors[i * n + k] * found[k] * vectors[j * n + k];
          expect(sum).toBeCloseTo(matrix[i * n + j], 9);
        }
    }),
    { numRuns: 50 },
  );
});

test("a product's singular values: their squares add up to its squared Frobenius norm", () => {
  fc.assert(
    fc.property(values(5 * 3), values(3 * 4), (bs, as) => {
      const [b, a] = [Float32Array.from(bs), Float32Array.from(as)];
      let frobenius = 0;
      for (let i = 0; i < 5; i++)
        for (let j = 0; j < 4; j++) {
          let sum = 0;
          for (let k = 0; k < 3; k++) sum += b[i * 3 + k] * a[k * 4 + j];
          frobenius += sum * sum;
        }
      const found = singularValuesOfProduct(b, a, 3);
      expect(found.reduce((sum, each) => sum + each * each, 0)).toBeCloseTo(frobenius, 4);
    }),
    { numRuns: 50 },
  );
});

test('those of a diagonal product are its entries', () => {
  const b = Float32Array.of(3, 0, 0, 0, 0.5, 0, 0, 0, 0);
  const a = Float32Array.of(1, 0, 0, 0, 2, 0, 0, 0, 1);
  const found = singularValuesOfProduct(b, a, 3);
  for (const [i, each] of [3, 1, 0].entries()) expect(found[i]).toBeCloseTo(each, 6);
});
