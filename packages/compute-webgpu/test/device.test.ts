import {
  type Backend,
  createReferenceBackend,
  integersFrom,
  type LinearWeight,
  tensorFrom,
} from '@qlorajs/compute';
import { badByteWrites, compareValues, OP_TOLERANCES } from '@qlorajs/compute/testing';
import { afterAll, describe, expect, test } from 'vitest';
import { createWebGpuBackend } from '../src/index.js';
import { findGpu, reachableTiers } from './find-gpu.js';

const { gpu, reason } = await findGpu();

describe.skipIf(!gpu)(`WebGPU device${reason ? `: skipped, ${reason}` : ''}`, async () => {
  if (!gpu) return;
  const backend = await createWebGpuBackend({ gpu, tier: 'f32' });
  afterAll(() => backend.dispose());
  const counting = (size: number) => Float32Array.from({ length: size }, (_, i) => i + 1);

  test('writes of bytes at any offset change those bytes alone', async () => {
    expect(await badByteWrites(backend)).toEqual([]);
  });

  test('half floats are read as floats, from odd offsets too', async () => {
    const half = backend.empty('f16', [5]);
    backend.write(half, Uint16Array.of(0x3c00, 0xc000, 0x0001, 0x7bff, 0x3800));
    expect([...(await backend.read(half))]).toEqual([1, -2, 2 ** -24, 65504, 0.5]);
    expect([...(await backend.read(backend.view(half, 1, [2])))]).toEqual([-2, 2 ** -24]);
    backend.free(half);
  });

  test('rows are scattered into a table of half floats', async () => {
    const out = backend.empty('f16', [3, 4]);
    backend.write(out, new Uint16Array(12).fill(0x3c00));
    const source = tensorFrom(backend, [1.5, -2, 0.25, 3, 5, 6, 7, 1 + 2 ** -12], [2, 4]);
    const ids = integersFrom(backend, [2, 0]);
    backend.ops.scatterRows({ source, ids, out, width: 4 });
    expect([...(await backend.read(out))]).toEqual([5, 6, 7, 1, 1, 1, 1, 1, 1.5, -2, 0.25, 3]);
    const odd = backend.view(out, 1, [3]);
    expect(() => backend.ops.scatterRows({ source, ids, out: odd, width: 4 })).toThrow(
      /whole words/,
    );
    for (const tensor of [out, source, ids]) backend.free(tensor);
  });

  test('an operation between two views of one buffer', async () => {
    const whole = tensorFrom(backend, counting(7), [7]);
    const out = backend.view(whole, 4, [3]);
    backend.ops.axpby({ x: backend.view(whole, 1, [3]), out, alpha: 10, beta: 1 });
    expect([...(await backend.read(whole))]).toEqual([1, 2, 3, 4, 25, 36, 47]);
    backend.free(whole);
  });

  test('a write waits for the operations before it, and they for it', async () => {
    const x = tensorFrom(backend, [1], [1]);
    const out = tensorFrom(backend, [0], [1]);
    for (const value of [1, 10, 100]) {
      backend.write(x, Float32Array.of(value));
      backend.ops.axpby({ x, out, alpha: 1, beta: 1 });
    }
    expect([...(await backend.read(out))]).toEqual([111]);
    for (const tensor of [x, out]) backend.free(tensor);
  });

  test('more operations than one submission holds', async () => {
    const out = tensorFrom(backend, [0], [1]);
    const one = tensorFrom(backend, [1], [1]);
    for (let i = 0; i < 1000; i++) backend.ops.axpby({ x: one, out, alpha: 1, beta: 1 });
    expect([...(await backend.read(out))]).toEqual([1000]);
    for (const tensor of [out, one]) backend.free(tensor);
  });

  test('tables and weights larger than a binding are split', async () => {
    const small = await createWebGpuBackend({ gpu, tier: 'f32', bindingLimit: 4096 });
    const run = async (device: Backend) => {
      const values = counting(60 * 32).map((value) => Math.sin(value));
      const table = tensorFrom(device, values, [60, 32]);
      const ids = integersFrom(device, [59, 0, -1, 31, 30]);
      const rows = tensorFrom(device, counting(160), [5, 32]);
      device.ops.gatherRows({ source: table, ids, out: rows, width: 32 });
      const weight: LinearWeight = { kind: 'dense', shape: [60, 32], values: table };
      const bias = tensorFrom(device, counting(60), [60]);
      const out = tensorFrom(device, counting(300), [5, 60]);
      device.ops.linear({ x: rows, weight, bias, out, accumulate: true });
      const dX = device.empty('f32', [5, 32]);
      device.ops.linearBackward({ dOut: out, weight, dX, accumulate: false });
      device.ops.scatterRows({ source: dX, ids, out: table, width: 32 });
      device.ops.scatterAddRows({ source: dX, ids, out: table, width: 32 });
      return (await Promise.all([rows, out, dX, table].map((each) => device.read(each)))).map(
        (each) => [...each],
      );
    };
    const [actual, expected] = [await run(small), await run(createReferenceBackend())];
    expected.forEach((each, i) => {
      const largest = Math.max(...each.map(Math.abs));
      each.forEach((value, j) => {
        expect(Math.abs(actual[i][j] - value)).toBeLessThan(1e-5 * largest);
      });
    });
    const wide = tensorFrom(small, counting(2000), [2000]);
    expect(() => small.ops.gelu({ x: wide, out: wide })).toThrowError(/sees at most 4096 here/);
    await small.dispose();
  });

  // The operation suite has rows with few columns.
  test.each([
    ['outer products, columns first', 132, 4, 70, true, false],
    ['outer products, ranks first', 4, 132, 140, true, false],
  ])('thin products: %s', async (_, m, n, k, transposeA, transposeB) => {
    const run = async (device: Backend, beta: number) => {
      const a = tensorFrom(device, counting(m * k).map(Math.sin), [m, k]);
      const b = tensorFrom(device, counting(k * n).map(Math.cos), [k, n]);
      const out = tensorFrom(device, counting(m * n).map(Math.sin), [m, n]);
      device.ops.matmul({ a, b, out, m, n, k, transposeA, transposeB, alpha: 0.5, beta });
      const values = await device.read(out);
      for (const tensor of [a, b, out]) device.free(tensor);
      return values;
    };
    for (const beta of [0, 2]) {
      const [actual, expected] = [
        await run(backend, beta),
        await run(createReferenceBackend(), beta),
      ];
      expect(compareValues(actual, expected, OP_TOLERANCES.matmul)).toEqual([]);
    }
  });

  test.each([
    ['a long k is cut into parts', 20, 7, 900],
    ['a short k', 512, 530, 9],
    ['tiles of 128', 1024, 1030, 33],
  ])('products: %s', async (_, m, n, k) => {
    const run = async (device: Backend) => {
      const a = tensorFrom(device, counting(m * k).map(Math.sin), [k, m]);
      const b = tensorFrom(device, counting(k * n).map(Math.cos), [k, n]);
      const out = tensorFrom(device, counting(m * n).map(Math.sin), [m, n]);
      const form = { m, n, k, transposeA: true, transposeB: false, alpha: 0.5, beta: 2 };
      device.ops.matmul({ a, b, out, ...form });
      const values = await device.read(out);
      for (const tensor of [a, b, out]) device.free(tensor);
      return values;
    };
    const [actual, expected] = [await run(backend), await run(createReferenceBackend())];
    expect(compareValues(actual, expected, OP_TOLERANCES.matmul)).toEqual([]);
  });

  test('memory is counted, and what does not fit is refused', async () => {
    const small = await createWebGpuBackend({ gpu, tier: 'f32', memoryLimit: 100 });
    const kept = small.empty('f32', [20]);
    expect(() => small.empty('f32', [6], 'more')).toThrowError(/no room for more of 24 bytes/);
    small.free(kept);
    expect(() => small.free(kept)).toThrowError(/view or was freed/);
    expect(small.memory()).toEqual({ live: 0, peak: 80 });
    small.resetPeak();
    expect(small.memory().peak).toBe(0);
    await small.dispose();
    const huge = { code: 'COMPUTE_OUT_OF_MEMORY', kind: 'runtime' };
    expect(() => backend.empty('f32', [2 ** 40])).toThrowError(expect.objectContaining(huge));
  });

  test('a disposed backend says so', async () => {
    const other = await createWebGpuBackend({ gpu, tier: 'f32' });
    const out = other.empty('f32', [64]);
    await other.dispose();
    await expect(other.read(out)).rejects.toMatchObject({ code: 'WEBGPU_DISPOSED' });
    expect(() => other.ops.gelu({ x: out, out })).toThrowError(/was disposed/);
  });

  const reached = (await reachableTiers(gpu)).at(-1);
  test.skipIf(reached === 'matrix')('a tier out of reach is named', async () => {
    const making = createWebGpuBackend({ gpu, tier: 'matrix' });
    await expect(making).rejects.toMatchObject({ code: 'WEBGPU_NO_FEATURE' });
  });
});

test('no adapter is a clear error', async () => {
  const none = { requestAdapter: async () => null } as unknown as GPU;
  await expect(createWebGpuBackend({ gpu: none })).rejects.toMatchObject({
    code: 'WEBGPU_NO_ADAPTER',
  });
});
