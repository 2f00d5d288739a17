import {
  type Backend,
  createReferenceBackend,
  type Nf4Weight,
  type Tensor,
} from '@qlorajs/compute';
import { createWasmBackend } from '@qlorajs/compute-wasm';
import { createWebGpuBackend } from '@qlorajs/compute-webgpu';
import { type Nf4Tensor, quantizeNf4 } from '@qlorajs/quant-nf4';
import {
  fromFloat32,
  memoryFolder,
  openCheckpoint,
  type TensorSource,
  toFloat32,
  writeSafetensors,
} from '@qlorajs/safetensors';
import { afterAll, describe, expect, test } from 'vitest';
import { findGpu } from '../../compute-webgpu/test/find-gpu.js';
import { BLOCK_LINEARS, loadPhi, type PhiModel, parsePhiConfig, phiTensors } from '../src/index.js';
import { tinyConfigJson, tinyWeights } from './tiny-model.js';

type Stored = 'F32' | 'F16' | 'BF16';

/** The tiny model's weights in another dtype; `change` may spoil some. */
async function stored(
  dtype: Stored,
  overrides: Record<string, unknown> = {},
  change: (name: string, values: Float32Array) => void = () => {},
): Promise<TensorSource> {
  const source = await openCheckpoint(
    memoryFolder([['model.safetensors', tinyWeights(overrides)]], 'tiny'),
  );
  const entries: Parameters<typeof writeSafetensors>[0] = {};
  for (const [name, { shape }] of source.tensors) {
    const values = await source.readFloat32(name);
    change(name, values);
    Object.assign(entries, { [name]: { dtype, shape, data: fromFloat32(values, dtype) } });
  }
  return openCheckpoint(memoryFolder([['model.safetensors', writeSafetensors(entries)]], 'tiny'));
}

const config = parsePhiConfig(tinyConfigJson);
const FLOATS = { F32: 'float32', F16: 'float16', BF16: 'bfloat16' } as const;

async function onHost(source: TensorSource, name: string, doubleQuant: boolean) {
  const { shape, dtype } = source.tensors.get(name)!;
  const values = await source.readFloat32(name);
  return quantizeNf4(values, { shape, name, dtype: FLOATS[dtype as Stored], doubleQuant });
}

/** What lies on the device, as the host would hold it. */
async function fromDevice(backend: Backend, weight: Nf4Weight, dtype: Stored): Promise<Nf4Tensor> {
  const bytes = async (tensor: Tensor) => (await backend.readIntegers(tensor)) as Uint8Array;
  const { shape, blockSize, scales } = weight;
  return {
    ...{ shape, dtype: FLOATS[dtype], blockSize, codes: await bytes(weight.codes) },
    scales:
      scales.kind === 'plain'
        ? { kind: 'plain', absmax: await backend.read(scales.absmax) }
        : {
            ...scales,
            codes: await bytes(scales.codes),
            absmax: await backend.read(scales.absmax),
            codeMap: await backend.read(scales.codeMap),
          },
  };
}

const { gpu, reason } = await findGpu();
const engines = [
  { name: 'wasm', create: () => createWasmBackend({ threads: 2 }) },
  ...(gpu ? [{ name: 'webgpu', create: () => createWebGpuBackend({ gpu }) }] : []),
  { name: 'reference', create: async () => createReferenceBackend() },
];
test.runIf(gpu)(`webgpu is among the engines${reason ? `: skipped, ${reason}` : ''}`, () => {});

describe.each(engines)('quantizing on $name, against the host', async ({ create }) => {
  const backend = await create();
  afterAll(() => backend.dispose());

  test.each([
    ['F16', true],
    ['BF16', true],
    ['F32', false],
  ] as const)('%s, double quantization %s: every bit', async (dtype, doubleQuant) => {
    const source = await stored(dtype);
    const kept = new Map<string, Nf4Tensor>();
    const model = await loadPhi(backend, config, source, {
      quantize: { doubleQuant },
      onQuantized: async (name, tensor) => void kept.set(name, tensor),
    });
    expect(model.report.quantized).toBe(12);
    expect(kept.size).toBe(12);
    for (const [layer, { linears }] of model.weights.blocks.entries())
      for (const module of BLOCK_LINEARS) {
        const name = `model.layers.${layer}.${module}.weight`;
        const expected = await onHost(source, name, doubleQuant);
        const { weight } = linears[module];
        expect(await fromDevice(backend, weight as Nf4Weight, dtype), name).toEqual(expected);
        expect(kept.get(name), name).toEqual(expected);
      }
    model.dispose();
    expect(backend.memory().live).toBe(0);
  });

  test('scales that engines may disagree on are left to the host', async () => {
    const source = await stored('F32', {}, (name, values) => {
      if (name.endsWith('.weight')) values.subarray(0, 64).fill(3e-35);
    });
    const model = await loadPhi(backend, config, source, { quantize: { doubleQuant: true } });
    const name = 'model.layers.0.mlp.fc1.weight';
    const weight = model.weights.blocks[0].linears['mlp.fc1'].weight as Nf4Weight;
    expect(await fromDevice(backend, weight, 'F32')).toEqual(await onHost(source, name, true));
    model.dispose();
  });

  test('what is not finite is named, and everything is given back', async () => {
    const source = await stored('F16', {}, (name, values) => {
      if (name === 'model.layers.1.mlp.fc1.weight') values[70] = Number.NaN;
    });
    const loading = loadPhi(backend, config, source, { quantize: { doubleQuant: true } });
    await expect(loading).rejects.toMatchObject({
      code: 'NF4_NOT_FINITE',
      details: { tensor: 'model.layers.1.mlp.fc1.weight', index: 70 },
    });
    expect(backend.memory().live).toBe(0);
  });
});

test('a tensor of several pieces is the same as one read whole', async () => {
  const big = parsePhiConfig({
    ...tinyConfigJson,
    num_hidden_layers: 1,
    intermediate_size: 270_000,
  });
  const entries = [...phiTensors(big)].map(([name, shape]) => {
    const data = new Uint16Array(shape.reduce((a, b) => a * b, 1));
    // f16 bits of magnitudes below 2, in blocks that differ.
    for (let i = 0; i < data.length; i++) data[i] = ((i * 40503) ^ (i >> 7)) & 0xbfff;
    return [name, { dtype: 'F16' as const, shape, data: new Uint8Array(data.buffer) }] as const;
  });
  const bytes = writeSafetensors(Object.fromEntries(entries));
  const source = await openCheckpoint(memoryFolder([['model.safetensors', bytes]], 'big'));
  const backend = await createWasmBackend({ threads: 2 });
  const model = await loadPhi(backend, big, source, { quantize: { doubleQuant: true } });
  const name = 'model.layers.0.mlp.fc1.weight';
  expect(source.tensors.get(name)!.byteLength).toBeGreaterThan(16 * 2 ** 20);
  const weight = model.weights.blocks[0].linears['mlp.fc1'].weight as Nf4Weight;
  const { codes, scales } = await onHost(source, name, true);
  const actual = await fromDevice(backend, weight, 'F16');
  expect(Buffer.compare(actual.codes, codes)).toBe(0);
  const { codes: nested } = scales as { codes: Uint8Array };
  expect(Buffer.compare((actual.scales as { codes: Uint8Array }).codes, nested)).toBe(0);
  expect(model.report.peakHostBytes).toBeLessThan(2 * 16 * 2 ** 20 + 2 ** 22);
  await backend.dispose();
}, 120_000);

/** Embedding and head as they lie on the device. */
async function tables(source: TensorSource): Promise<{ model: PhiModel; values: Float32Array[] }> {
  const backend = createReferenceBackend();
  const model = await loadPhi(backend, config, source, { quantize: null, halfTables: true });
  const { embedding, head } = model.weights;
  const both = [embedding, (head.weight as { values: Tensor }).values];
  return { model, values: await Promise.all(both.map((each) => backend.read(each))) };
}

const TABLES = ['model.embed_tokens.weight', 'lm_head.weight'];

test('tables stay f16 where they are stored in half precision, and f32 otherwise', async () => {
  for (const [dtype, kept] of [
    ['F16', 'f16'],
    ['BF16', 'f16'],
    ['F32', 'f32'],
  ] as const) {
    const source = await stored(dtype);
    const { model, values } = await tables(source);
    expect(model.weights.embedding.dtype).toBe(kept);
    for (const [i, name] of TABLES.entries()) {
      const exact = await source.readFloat32(name);
      // BF16 has fewer bits than F16: exact, but for what is smaller than F16's normal numbers.
      const off = values[i].map((value, j) => Math.abs(value - exact[j]));
      expect(Math.max(...off)).toBeLessThanOrEqual(dtype === 'BF16' ? 2 ** -25 : 0);
    }
  }
});

test('a BF16 table beyond the range of f16 stays f32; NaN is named', async () => {
  const spoilt = (value: number) =>
    stored('BF16', {}, (name, values) => {
      if (name === 'lm_head.weight') values[5] = value;
    });
  const { model, values } = await tables(await spoilt(1e6));
  expect(model.weights.embedding.dtype).toBe('f16');
  expect(model.weights.head.weight).toMatchObject({ values: { dtype: 'f32' } });
  expect(values[1][5]).toBe(toFloat32(fromFloat32(Float32Array.of(1e6), 'BF16'), 'BF16')[0]);
  await expect(tables(await spoilt(Number.NaN))).rejects.toMatchObject({
    code: 'PHI_NOT_FINITE',
    details: { tensor: 'lm_head.weight', index: 5 },
  });
});
