import type { Tensor } from '@qlorajs/compute';
import { describe, expect, test } from 'vitest';
import { createWebGpuBackend } from '../src/index.js';
import { findGpu } from './find-gpu.js';

const { gpu, reason } = await findGpu();
const MIB = 2 ** 20;

describe.skipIf(!gpu)(`uploads${reason ? `: skipped, ${reason}` : ''}`, () => {
  const values = (size: number, seed: number) =>
    Float32Array.from({ length: size }, (_, i) => ((i * 31 + seed * 17) % 1009) - 500);

  test('arrive in order with operations and writes, over more than one buffer of the ring', async () => {
    const backend = await createWebGpuBackend({ gpu: gpu!, tier: 'f32' });
    const uploads = backend.uploads!;
    const size = 5 * MIB; // 20 MiB
    const [a, sums] = [backend.empty('f32', [size], 'a'), backend.empty('f32', [size], 'sums')];
    const expected = new Float32Array(size);
    for (let round = 0; round < 9; round++) {
      const data = values(size, round);
      // Every other time without waiting, until the ring has no room.
      if (round % 2 === 0) await uploads.room(data.byteLength);
      uploads.write(a, data);
      // Before the operation, and after the upload.
      backend.write(a, Float32Array.of(round, 2 * round), 7);
      backend.ops.axpby({ x: a, out: sums, alpha: 1, beta: 1 });
      data.set([round, 2 * round], 7);
      for (let i = 0; i < size; i++) expected[i] += data[i];
    }
    const actual = await backend.read(sums);
    expect(actual.every((value, i) => value === expected[i])).toBe(true);
    await backend.dispose();
  });

  test('any number of bytes', async () => {
    const backend = await createWebGpuBackend({ gpu: gpu!, tier: 'f32' });
    const uploads = backend.uploads!;
    await uploads.room(100);
    const tensors: [Tensor, Uint8Array][] = [1, 2, 3, 4, 5, 4097].map((size) => {
      const data = Uint8Array.from({ length: size }, (_, i) => (i * 7 + size) % 251);
      const tensor = backend.empty('u8', [size]);
      uploads.write(tensor, data);
      return [tensor, data];
    });
    const whole = backend.empty('u8', [16]);
    uploads.write(whole, new Uint8Array(16).fill(9));
    uploads.write(backend.view(whole, 5, [6]), Uint8Array.of(1, 2, 3, 4, 5, 6));
    uploads.write(backend.view(whole, 12, [3]), Uint8Array.of(7, 7, 7));
    expect(() => uploads.write(whole, new Uint8Array(15))).toThrowError(
      /15 bytes are not u8 \[16\]/,
    );
    for (const [tensor, data] of tensors) expect(await backend.readIntegers(tensor)).toEqual(data);
    expect([...(await backend.readIntegers(whole))]).toEqual([
      ...[9, 9, 9, 9, 9, 1, 2, 3, 4, 5, 6, 9, 7, 7, 7, 9],
    ]);
    await backend.dispose();
  });
});
