import { createReferenceBackend } from '@qlorajs/compute';
import { compareValues } from '@qlorajs/compute/testing';
import { afterAll, describe, expect, test } from 'vitest';
import { createWebGpuBackend } from '../src/index.js';
import { adapterLayer } from './adapter-layer.js';
import { findGpu } from './find-gpu.js';

const { gpu, reason } = await findGpu();
const tolerance = { absolute: 1e-5, relative: 2e-3 }; // of f16 operands, where the GPU has them

describe.skipIf(!gpu)(`products held back${reason ? `: skipped, ${reason}` : ''}`, async () => {
  if (!gpu) return;
  const backend = await createWebGpuBackend({ gpu });
  afterAll(() => backend.dispose());

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
});
