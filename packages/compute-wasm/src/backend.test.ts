import { createReferenceBackend, integersFrom, type Tensor, tensorFrom } from '@qlorajs/compute';
import { badByteWrites } from '@qlorajs/compute/testing';
import { afterAll, describe, expect, test } from 'vitest';
import { createWasmBackend, hasRelaxedSimd } from './index.js';

const made: ReturnType<typeof createWasmBackend>[] = [];
afterAll(async () => {
  for (const backend of made) await (await backend).dispose();
});

function start(options?: Parameters<typeof createWasmBackend>[0]) {
  const backend = createWasmBackend({ threads: 1, ...options });
  made.push(backend);
  return backend;
}

describe('memory', () => {
  test('counts live and peak bytes of tensors alone', async () => {
    const backend = await start();
    const a = backend.empty('f32', [1000]);
    const b = backend.empty('u8', [3]);
    backend.free(a);
    expect(backend.memory()).toEqual({ live: 3, peak: 4003 });
    backend.resetPeak();
    expect(backend.memory()).toEqual({ live: 3, peak: 3 });
    backend.ops.sumSquares({
      x: backend.empty('f32', [50_000]),
      out: backend.empty('f32', [1]),
      accumulate: false,
    });
    expect(backend.memory().live).toBe(200_007);
    backend.free(b);
  });

  test('new tensors are zero, also where another one was', async () => {
    const backend = await start();
    for (let round = 0; round < 3; round++) {
      const tensor = backend.empty('f32', [777]);
      expect(await backend.read(tensor)).toEqual(new Float32Array(777));
      backend.ops.fill({ out: tensor, value: 5 });
      backend.free(tensor);
    }
  });

  test('a thousand rounds of operations need no more memory than one', async () => {
    const backend = await start({ threads: 2 });
    const { ops } = backend;
    const values = tensorFrom(backend, new Float32Array(64 * 64).fill(0.5), [64, 64]);
    const round = () => {
      const [x, out] = [backend.empty('f32', [40, 64]), backend.empty('f32', [40, 64])];
      const weight = { kind: 'dense', shape: [64, 64], values } as const;
      ops.linear({ x, weight, bias: null, out, accumulate: false });
      ops.gelu({ x: out, out: x });
      ops.sumSquares({ x, out: backend.view(out, 0, [1]), accumulate: false });
      backend.free(x);
      backend.free(out);
    };
    round();
    const address = addressOf(backend.empty('f32', [1]));
    backend.resetPeak();
    round();
    const { peak } = backend.memory();
    for (let i = 0; i < 1000; i++) round();
    expect(backend.memory().peak).toBe(peak);
    // Best fit takes the same small block again, so nothing has been left behind in front of it.
    expect(addressOf(backend.empty('f32', [1])) - address).toBeLessThan(1024);
  });

  test.each([{ tensorLimit: 30 * 2 ** 20 }, { memoryLimit: 40 * 2 ** 20 }])(
    'asks for room before it refuses: %o',
    async (limit) => {
      const backend = await start(limit);
      const spare = backend.empty('f32', [5 * 2 ** 20], 'spare');
      let asked = 0;
      const end = backend.onShortage(() => {
        if (asked++ === 0) backend.free(spare);
        return asked === 1;
      });
      const kept = backend.empty('f32', [5 * 2 ** 20], 'kept');
      expect(asked).toBe(1);
      const refused = expect.objectContaining({ code: 'COMPUTE_OUT_OF_MEMORY' });
      expect(() => backend.empty('f32', [5 * 2 ** 20])).toThrowError(refused);
      expect(asked).toBe(2);
      expect(backend.memory()).toEqual({ live: 20 * 2 ** 20, peak: 20 * 2 ** 20 });
      end();
      backend.free(kept);
    },
  );

  test('grows while tensors live, up to memoryLimit and no further', async () => {
    const backend = await start({ memoryLimit: 40 * 2 ** 20 });
    const first = tensorFrom(backend, [1, 2, 3], [3]);
    const second = backend.empty('f32', [5 * 2 ** 20], 'second');
    backend.ops.fill({ out: second, value: 2 });
    expect([...(await backend.read(first))]).toEqual([1, 2, 3]);
    expect((await backend.read(second)).at(-1)).toBe(2);
    expect(() => backend.empty('f32', [5 * 2 ** 20], 'third')).toThrowError(
      expect.objectContaining({
        code: 'COMPUTE_OUT_OF_MEMORY',
        kind: 'runtime',
        details: expect.objectContaining({ bytes: 20 * 2 ** 20, label: 'third' }),
      }),
    );
    backend.free(second);
    expect(backend.empty('f32', [5 * 2 ** 20]).size).toBe(5 * 2 ** 20);
  });

  test('addresses above 2 GiB work', async () => {
    const backend = await start();
    // Never written, so it takes address space and no memory.
    const filler = backend.empty('u8', [2 ** 31 + 2 ** 20]);
    const x = tensorFrom(backend, [1, 2, 3, 4, 5, 6], [2, 3]);
    expect(addressOf(x)).toBeGreaterThan(2 ** 31);
    const out = backend.empty('f32', [2, 2]);
    const shape = { m: 2, n: 2, k: 3, transposeA: false, transposeB: true, alpha: 1, beta: 0 };
    backend.ops.matmul({ a: x, b: x, out, ...shape });
    expect([...(await backend.read(out))]).toEqual([14, 32, 32, 77]);
    const table = integersFrom(backend, [1, -1]);
    const rows = backend.empty('f32', [2, 3]);
    backend.ops.gatherRows({ source: x, ids: table, out: rows, width: 3 });
    expect([...(await backend.read(rows))]).toEqual([4, 5, 6, 0, 0, 0]);
    backend.free(filler);
  });
});

describe('tensors', () => {
  test('views share storage; only what empty gave can be freed, once', async () => {
    const backend = await start();
    const whole = tensorFrom(backend, [1, 2, 3, 4], [4]);
    const tail = backend.view(backend.view(whole, 1, [3]), 1, [2]);
    backend.ops.fill({ out: tail, value: 9 });
    expect([...(await backend.read(whole))]).toEqual([1, 2, 9, 9]);
    expect(() => backend.free(tail)).toThrowError(
      expect.objectContaining({ code: 'COMPUTE_FREE' }),
    );
    expect(() => backend.view(whole, 2, [3])).toThrowError(/outside tensor/);
    backend.free(whole);
    expect(() => backend.free(whole)).toThrowError(/is a view or was freed/);
    expect(() => backend.write(tail, Float32Array.of(1))).toThrowError(
      expect.objectContaining({ code: 'COMPUTE_FREED_TENSOR' }),
    );
  });

  test('reads back what was written, from an offset, for every dtype', async () => {
    const backend = await start();
    const bytes = backend.empty('u8', [4]);
    backend.write(bytes, Uint8Array.of(7, 255), 2);
    expect(await backend.readIntegers(bytes)).toEqual(Uint8Array.of(0, 0, 7, 255));
    const unsigned = backend.empty('u32', [2]);
    backend.write(unsigned, Uint32Array.of(0xffffffff, 1));
    expect(await backend.readIntegers(unsigned)).toEqual(Uint32Array.of(0xffffffff, 1));
    expect(await backend.readIntegers(integersFrom(backend, [-3]))).toEqual(Int32Array.of(-3));
    expect(() => backend.write(bytes, Uint8Array.of(1, 2), 3)).toThrowError(/do not fit/);
  });

  test('writes of bytes at any offset change those bytes alone', async () => {
    expect(await badByteWrites(await start())).toEqual([]);
  });

  test('every f16 reads as the number that it stands for', async () => {
    const backend = await start();
    const reference = createReferenceBackend();
    const bits = Uint16Array.from({ length: 65536 }, (_, i) => i);
    const halves = [backend, reference].map((each) => {
      const tensor = each.empty('f16', [65536]);
      each.write(tensor, bits);
      return tensor;
    }) as [Tensor, Tensor];
    const expected = await reference.read(halves[1]);
    const differ = (values: Float32Array) =>
      [...values.keys()].filter((i) => !Object.is(values[i], expected[i]));
    expect(differ(await backend.read(halves[0]))).toEqual([]);
    // The same through the kernel, a row of 65536.
    const out = backend.empty('f32', [65536]);
    const ids = integersFrom(backend, [0]);
    backend.ops.gatherRows({ source: halves[0], ids, out, width: 65536 });
    expect(differ(await backend.read(out))).toEqual([]);
    expect(() => backend.write(halves[0], Float32Array.of(1))).toThrowError(/Uint16Array/);
  });

  test('a tensor of another backend is refused', async () => {
    const [one, other] = [await start(), await start()];
    const x = tensorFrom(one, [1], [1]);
    expect(() => other.ops.gelu({ x, out: x })).toThrowError(
      expect.objectContaining({ code: 'COMPUTE_FOREIGN_TENSOR' }),
    );
  });
});

describe('operations', () => {
  test('integers that would reach outside a tensor are refused', async () => {
    const backend = await start();
    const table = backend.empty('f32', [4, 2]);
    const rows = backend.empty('f32', [1, 2]);
    const wrong = expect.objectContaining({ code: 'COMPUTE_INDEX' });
    const four = integersFrom(backend, [4]);
    const { ops } = backend;
    expect(() => ops.gatherRows({ source: table, ids: four, out: rows, width: 2 })).toThrowError(
      wrong,
    );
    expect(() => ops.scatterRows({ source: rows, ids: four, out: table, width: 2 })).toThrowError(
      wrong,
    );
    expect(() =>
      ops.crossEntropy({
        logits: table,
        labels: integersFrom(backend, [0, 0, 0, 2]),
        losses: backend.empty('f32', [4]),
        gradientScale: null,
      }),
    ).toThrowError(wrong);
    const head = { heads: 1, headDim: 2 };
    expect(() =>
      ops.rotary({
        x: rows,
        positions: four,
        cos: table,
        sin: table,
        ...head,
        rotaryDim: 2,
        inverse: false,
      }),
    ).not.toThrowError();
    expect(() =>
      ops.rotary({
        x: rows,
        positions: integersFrom(backend, [8]),
        cos: table,
        sin: table,
        ...head,
        rotaryDim: 2,
        inverse: false,
      }),
    ).toThrowError(wrong);
    expect(() =>
      ops.attention({
        ...{ batch: 1, queryLength: 1, keyLength: 4, scale: 1, ...head },
        ...{ keyLengths: integersFrom(backend, [5]), queryStart: null, firstKeys: null },
        ...{ q: rows, k: table, v: table, out: rows, logSumExp: backend.empty('f32', [1]) },
      }),
    ).toThrowError(wrong);
  });

  test('a weight whose parts do not fit its shape is refused', async () => {
    const backend = await start();
    const [x, out] = [backend.empty('f32', [1, 64]), backend.empty('f32', [1, 3])];
    const codes = backend.empty('u8', [96]);
    const absmax = backend.empty('f32', [2]);
    const scales = { kind: 'plain', absmax } as const;
    const weight = { kind: 'nf4', shape: [3, 64], blockSize: 64, codes, scales } as const;
    expect(() =>
      backend.ops.linear({ x, weight, bias: null, out, accumulate: false }),
    ).toThrowError(/absmax must be f32 of 3 elements/);
  });

  test('keys behind keyLengths are not looked at, whatever they hold', async () => {
    const backend = await start();
    for (const queryLength of [2, 9]) {
      const shape = [1, 12, 8];
      const k = backend.empty('f32', shape);
      backend.ops.fill({ out: k, value: Number.NaN });
      const real = backend.view(k, 0, [10, 8]);
      backend.ops.fill({ out: real, value: 0.25 });
      const q = tensorFrom(backend, new Float32Array(queryLength * 8).fill(1), [1, queryLength, 8]);
      const out = backend.empty('f32', q.shape);
      backend.ops.attention({
        ...{ batch: 1, queryLength, keyLength: 12, heads: 1, headDim: 8, scale: 1 },
        keyLengths: integersFrom(backend, [10]),
        queryStart: integersFrom(backend, [3]),
        firstKeys: null,
        ...{ q, k, v: k, out, logSumExp: backend.empty('f32', [1, 1, queryLength]) },
      });
      const values = await backend.read(out);
      expect(values.every((value) => Math.abs(value - 0.25) < 1e-6)).toBe(true);
    }
  });

  test('empty tensors are nothing to do', async () => {
    const backend = await start();
    const none = backend.empty('f32', [0, 4]);
    const weight = { kind: 'dense', shape: [4, 4], values: backend.empty('f32', [4, 4]) } as const;
    backend.ops.linear({ x: none, weight, bias: null, out: none, accumulate: false });
    backend.ops.linearBackward({ dOut: none, weight, dX: none, accumulate: false });
    backend.ops.gelu({ x: none, out: none });
    const flags = { transposeA: false, transposeB: false, alpha: 1, beta: 0 };
    const out = tensorFrom(backend, [7, 7, 7, 7], [2, 2]);
    backend.ops.matmul({ a: none, b: none, out, m: 2, n: 2, k: 0, ...flags });
    expect([...(await backend.read(out))]).toEqual([0, 0, 0, 0]);
  });

  test.each([1, 3])(
    'a trap is an error, and the next operation works (%i threads)',
    async (threads) => {
      const backend = await start({ threads });
      const x = backend.empty('f32', [200_000]);
      const storage = x.storage as { address: number };
      const { address } = storage;
      storage.address = 2 ** 32 - 64;
      expect(() => backend.ops.gelu({ x, out: x })).toThrowError(
        expect.objectContaining({ code: 'COMPUTE_KERNEL', kind: 'runtime' }),
      );
      storage.address = address;
      backend.ops.fill({ out: x, value: 1 });
      const out = backend.empty('f32', [1]);
      backend.ops.sumSquares({ x, out, accumulate: false });
      expect((await backend.read(out))[0]).toBe(200_000);
    },
  );
});

describe('options', () => {
  test.each([{ threads: 0 }, { threads: 1.5 }, { threads: 65 }, { memoryLimit: 1000 }])(
    '%o is refused',
    async (options) => {
      await expect(createWasmBackend(options)).rejects.toThrowError(
        expect.objectContaining({ code: 'COMPUTE_OPTION', kind: 'input' }),
      );
    },
  );

  test('the tile is found by timing, or is the one asked for', async () => {
    const timed = await createWasmBackend({ threads: 1, relaxedSimd: false });
    expect(['4x8', '5x8']).toContain(timed.info.tile);
    await timed.dispose();
    const asked = await createWasmBackend({ threads: 1, relaxedSimd: false, tile: '5x8' });
    expect(asked.info.tile).toBe('5x8');
    await asked.dispose();
    const mismatch = createWasmBackend({ threads: 1, relaxedSimd: false, tile: '6x16' });
    await expect(mismatch).rejects.toThrowError(
      expect.objectContaining({ code: 'COMPUTE_OPTION', kind: 'input' }),
    );
  });

  test('relaxedSimd: true gives the relaxed build, or an error where the host has none', async () => {
    const asked = createWasmBackend({ threads: 1, relaxedSimd: true });
    if (hasRelaxedSimd()) {
      expect((await asked).info.relaxedSimd).toBe(true);
      await (await asked).dispose();
    } else
      await expect(asked).rejects.toThrowError(
        expect.objectContaining({ code: 'COMPUTE_NO_RELAXED_SIMD', kind: 'input' }),
      );
  });
});

test('after dispose nothing is live and nothing can be used', async () => {
  const backend = await createWasmBackend({ threads: 2 });
  const x = backend.empty('f32', [4]);
  await backend.dispose();
  expect(backend.memory().live).toBe(0);
  expect(() => backend.ops.gelu({ x, out: x })).toThrowError(/after its storage was freed/);
});

function addressOf(tensor: Tensor): number {
  return (tensor.storage as { address: number }).address;
}
