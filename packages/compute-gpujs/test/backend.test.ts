import { createReferenceBackend, integersFrom, type Nf4Weight, tensorFrom } from '@qlorajs/compute';
import { badByteWrites, randomWeight } from '@qlorajs/compute/testing';
import { GPU } from 'gpu.js';
import { afterAll, describe, expect, test } from 'vitest';
import { createGpuJsBackend } from '../src/index.js';

const WEIGHTS = 320 * 1280;

test('an NF4 weight takes at most 5.5 bits a weight, and its scales', async () => {
  const backend = await createGpuJsBackend({ GPU, mode: 'cpu' });
  const before = backend.memory().live;
  const weight = randomWeight(backend, 'nf4-double', [1280, 320], 1) as Nf4Weight;
  const whole = backend.memory().live - before;
  backend.free(weight.codes);
  const codes = whole - (backend.memory().live - before);
  expect((8 * codes) / WEIGHTS).toBeCloseTo(16 / 3, 3);
  // One byte a block of 64 is a third of a cell: 0.17 bits a weight; an absmax of 256 blocks and the map.
  expect((8 * (whole - codes)) / WEIGHTS).toBeLessThan(0.2);
  await backend.dispose();
});

describe.each(['cpu', 'webasm'] as const)('mode %s', async (mode) => {
  const backend = await createGpuJsBackend({ GPU, mode });
  afterAll(() => backend.dispose());

  test('writes of bytes at any offset change those bytes alone', async () => {
    expect(await badByteWrites(backend)).toEqual([]);
  });

  test('the mask of a dropout is that of the reference, bit for bit', async () => {
    const masks = await Promise.all(
      [backend, createReferenceBackend()].map(async (each) => {
        const x = each.empty('f32', [5000]);
        each.ops.fill({ out: x, value: 1 });
        const flags = { probability: 0.3, seed: 4_000_000_000, stream: 3, first: 99 };
        each.ops.dropout({ x, out: x, ...flags, accumulate: false });
        return (await each.read(x)).map((value) => (value === 0 ? 0 : 1));
      }),
    );
    expect(masks[0]).toEqual(masks[1]);
  });

  test('an id outside of its table is refused', () => {
    const source = tensorFrom(backend, [1, 2, 3, 4], [2, 2]);
    const out = backend.empty('f32', [1, 2]);
    const ids = integersFrom(backend, [2]);
    expect(() => backend.ops.gatherRows({ source, ids, out, width: 2 })).toThrow(
      expect.objectContaining({ code: 'COMPUTE_INDEX' }),
    );
  });
});

test('webasm refuses what f32 cannot index, and says what to use', async () => {
  const backend = await createGpuJsBackend({ GPU, mode: 'webasm' });
  expect(() => backend.empty('f32', [2 ** 24 + 1], 'embedding')).toThrow(
    /embedding.*webgpu or wasm/,
  );
  await backend.dispose();
});

test('WebGL where there is none is a clear error', async () => {
  await expect(createGpuJsBackend({ GPU, mode: 'webgl2' })).rejects.toMatchObject({
    code: 'GPUJS_NO_WEBGL',
  });
});
