import { createReferenceBackend, type Tensor, tensorFrom } from '@qlorajs/compute';
import { randomTensor, randomWeight } from '@qlorajs/compute/testing';
import { afterAll, describe, expect, test } from 'vitest';
import { createWebGpuBackend } from '../src/index.js';
import { findGpu } from './find-gpu.js';

const { gpu, reason } = await findGpu();
const [IN, OUT] = [64, 32];
/** One row of gradients for each: f16 has 2^-24 (6e-8) to 65504. */
const MAGNITUDES = Array.from({ length: 18 }, (_, i) => 10 ** (i - 12));

describe.skipIf(!gpu)(`sizes of gradients${reason ? `: skipped, ${reason}` : ''}`, async () => {
  if (!gpu) return;
  const backend = await createWebGpuBackend({ gpu });
  afterAll(() => backend.dispose());

  const gradients = async (device: typeof backend | ReturnType<typeof createReferenceBackend>) => {
    const rows = MAGNITUDES.length;
    const dOut = randomTensor(device, [rows, OUT], 1);
    MAGNITUDES.forEach((size, row) => {
      const one = device.view(dOut, row * OUT, [OUT]);
      device.ops.axpby({ x: one, out: one, alpha: size, beta: 0 });
    });
    const weight = randomWeight(device, 'nf4-double', [OUT, IN], 2);
    const dX = device.empty('f32', [rows, IN]);
    device.ops.linearBackward({ dOut, weight, dX, accumulate: false });
    return device.read(dX);
  };

  test('every row of 1e-12 to 1e5 keeps its relative precision', async () => {
    const [actual, expected] = [
      await gradients(backend),
      await gradients(createReferenceBackend()),
    ];
    MAGNITUDES.forEach((_, row) => {
      const part = (values: Float32Array) => values.subarray(row * IN, (row + 1) * IN);
      const largest = Math.max(...part(expected).map(Math.abs));
      const off = Math.max(...part(actual).map((value, i) => Math.abs(value - part(expected)[i])));
      expect(off / largest).toBeLessThan(1e-3);
    });
  });

  test('what is not finite stays so, in its own row alone', async () => {
    const values = new Float32Array(12 * OUT).fill(1);
    values[5 * OUT + 3] = Number.POSITIVE_INFINITY;
    const dOut: Tensor = tensorFrom(backend, values, [12, OUT]);
    const weight = randomWeight(backend, 'nf4-double', [OUT, IN], 2);
    const dX = backend.empty('f32', [12, IN]);
    backend.ops.linearBackward({ dOut, weight, dX, accumulate: false });
    const result = await backend.read(dX);
    const finite = (row: number) =>
      result.subarray(row * IN, (row + 1) * IN).every(Number.isFinite);
    expect(Array.from({ length: 12 }, (_, row) => finite(row))).toEqual(
      Array.from({ length: 12 }, (_, row) => row !== 5),
    );
    const sum = backend.empty('f32', [1]);
    backend.ops.sumSquares({ x: dX, out: sum, accumulate: false });
    // The optimizer skips a step whose norm is not finite, and the loop says so.
    expect(Number.isFinite((await backend.read(sum))[0])).toBe(false);
  });
});
