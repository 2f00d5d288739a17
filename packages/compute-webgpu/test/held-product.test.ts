import { createReferenceBackend } from '@qlorajs/compute';
import { compareValues, randomTensor, randomWeight } from '@qlorajs/compute/testing';
import { afterAll, describe, expect, test } from 'vitest';
import { createWebGpuBackend } from '../src/index.js';
import { adapterLayer, sharedLayers } from './adapter-layer.js';
import { findGpu } from './find-gpu.js';

const { gpu, reason } = await findGpu();
const tolerance = { absolute: 1e-5, relative: 2e-3 }; // of f16 operands, where the GPU has them

describe.skipIf(!gpu)(`products held back${reason ? `: skipped, ${reason}` : ''}`, async () => {
  if (!gpu) return;
  const backend = await createWebGpuBackend({ gpu });
  afterAll(() => backend.dispose());

  test('whether memory is given back in between makes no difference', async () => {
    const run = async (between: () => void) => {
      const [x, out] = [randomTensor(backend, [3, 64], 1), backend.empty('f32', [3, 16])];
      const weight = randomWeight(backend, 'f16', [16, 64], 2);
      const [hidden, factor] = [
        randomTensor(backend, [3, 4], 3),
        randomTensor(backend, [16, 4], 4),
      ];
      backend.ops.linear({ x, weight, bias: null, out, accumulate: false });
      between();
      const form = { m: 3, n: 16, k: 4, transposeA: false, transposeB: true, alpha: 0.3, beta: 1 };
      backend.ops.matmul({ a: hidden, b: factor, out, ...form });
      return [...(await backend.read(out))];
    };
    const other = backend.empty('f32', [5]);
    const expected = await run(() => {});
    expect(await run(() => backend.free(other))).toEqual(expected);
  });

  test.each([
    [1, false],
    [20, true],
  ])('an adapter beside a linear layer, %i rows, input changed: %s', async (rows, overlap) => {
    const actual = await adapterLayer(backend, rows, overlap);
    const expected = await adapterLayer(createReferenceBackend(), rows, overlap);
    expected.forEach((values, i) => {
      expect(compareValues(actual[i], values, tolerance)).toEqual([]);
    });
  });

  test.each([1, 150])('three layers of one input, %i rows', async (rows) => {
    const actual = await sharedLayers(backend, rows);
    const expected = await sharedLayers(createReferenceBackend(), rows);
    expected.forEach((values, i) => {
      expect(compareValues(actual[i], values, tolerance)).toEqual([]);
    });
  });
});
