import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { sourceOf } from '../test/source.js';
import {
  type BitsandbytesEntry,
  fromBitsandbytes,
  isBitsandbytesWeight,
  toBitsandbytes,
} from './bitsandbytes.js';
import { quantizeNf4 } from './quantize.js';

const name = 'model.layers.0.mlp.fc1.weight';
const stateKey = `${name}.quant_state.bitsandbytes__nf4`;

const values = Float32Array.from({ length: 4 * 100 }, (_, i) => Math.sin(i));
const double = toBitsandbytes(name, quantizeNf4(values, { shape: [4, 100] }));
const plain = toBitsandbytes(name, quantizeNf4(values, { shape: [4, 100], doubleQuant: false }));

test('reading what was written gives the same tensor', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.record({
        shape: fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 3 }),
        dtype: fc.constantFrom('float32', 'float16', 'bfloat16'),
        blockSize: fc.constantFrom(32, 64, 256),
        doubleQuant: fc.boolean(),
        seed: fc.float({ min: -1000, max: 1000, noNaN: true }),
      }),
      async ({ seed, ...options }) => {
        const count = options.shape.reduce((a, b) => a * b, 1);
        const weight = Float32Array.from({ length: count }, (_, i) => Math.cos(i * i + seed));
        const tensor = quantizeNf4(weight, options);
        const entries = toBitsandbytes(name, tensor);
        expect(await fromBitsandbytes(name, sourceOf(entries))).toEqual(tensor);
      },
    ),
  );
});

test('keeps the order and the dtypes of bitsandbytes', () => {
  const dtypes = (entries: Record<string, BitsandbytesEntry>) =>
    Object.entries(entries).map(([key, each]) => `${key.slice(name.length)} ${each.dtype}`);
  expect(dtypes(double)).toEqual([
    ' U8',
    '.absmax U8',
    '.quant_map F32',
    '.nested_absmax F32',
    '.nested_quant_map F32',
    '.quant_state.bitsandbytes__nf4 U8',
  ]);
  expect(dtypes(plain)).toEqual([
    ' U8',
    '.absmax F32',
    '.quant_map F32',
    '.quant_state.bitsandbytes__nf4 U8',
  ]);
});

test('a stored nested_quant_map is used, whatever it holds', async () => {
  const data = new Float32Array(256).map((_, i) => i);
  const key = `${name}.nested_quant_map`;
  const source = sourceOf({ ...double, [key]: { dtype: 'F32', shape: [256], data } });
  const { scales } = await fromBitsandbytes(name, source);
  expect(scales).toMatchObject({ kind: 'double', codeMap: data });
});

test('codes are taken in any storage dtype (bnb_4bit_quant_storage)', async () => {
  const source = sourceOf(double);
  const viewed = new Map(source.tensors).set(name, { dtype: 'BF16', shape: [100, 1] });
  const tensor = await fromBitsandbytes(name, { ...source, tensors: viewed });
  expect(tensor.codes).toEqual(double[name]!.data);
});

test('tells 4-bit weights from others', () => {
  expect(isBitsandbytesWeight(name, sourceOf(double))).toBe(true);
  expect(isBitsandbytesWeight('lm_head.weight', sourceOf(double))).toBe(false);
  const state = double[stateKey]!;
  const fp4 = sourceOf({ 'w.quant_state.bitsandbytes__fp4': state });
  expect(isBitsandbytesWeight('w', fp4)).toBe(true);
});

describe('refuses', () => {
  /** Reads the double-quantized entries with some replaced or, with `undefined`, removed. */
  const read = (changes: Record<string, BitsandbytesEntry | undefined>, base = double) => {
    const entries = Object.entries({ ...base, ...changes }).filter(
      (each): each is [string, BitsandbytesEntry] => each[1] !== undefined,
    );
    return fromBitsandbytes(name, sourceOf(Object.fromEntries(entries)));
  };
  const bytes = (data: Uint8Array): BitsandbytesEntry => ({
    dtype: 'U8',
    shape: [data.length],
    data,
  });
  const floats = (data: Float32Array): BitsandbytesEntry => ({
    dtype: 'F32',
    shape: [data.length],
    data,
  });
  const stateText = new TextDecoder().decode(double[stateKey]!.data);
  const state = (change: (text: string) => string) => ({
    [stateKey]: bytes(new TextEncoder().encode(change(stateText))),
  });
  const put = (key: string, value: unknown) =>
    state((text) => JSON.stringify({ ...JSON.parse(text), [key]: value }));

  test.each(['absmax', 'quant_map', 'nested_absmax', 'nested_quant_map'])(
    'a missing %s, naming it',
    async (suffix) => {
      const missing = `${name}.${suffix}`;
      await expect(read({ [missing]: undefined })).rejects.toMatchObject({
        code: 'NF4_CHECKPOINT',
        details: { tensor: name, missing },
        message: expect.stringContaining(`${missing} is missing`),
      });
    },
  );

  test('missing codes', async () => {
    await expect(read({ [name]: undefined })).rejects.toMatchObject({ code: 'NF4_CHECKPOINT' });
  });

  test('a weight that is not quantized', async () => {
    await expect(read({ [stateKey]: undefined })).rejects.toMatchObject({ code: 'NF4_MISSING' });
  });

  test('fp4, by its key and by its quant_type', async () => {
    const fp4Key = stateKey.replace('nf4', 'fp4');
    const unsupported = { code: 'NF4_UNSUPPORTED', details: { tensor: name, quantType: 'fp4' } };
    await expect(read({ [stateKey]: undefined, [fp4Key]: double[stateKey] })).rejects.toMatchObject(
      unsupported,
    );
    await expect(read(put('quant_type', 'fp4'))).rejects.toMatchObject(unsupported);
  });

  test.each([
    [
      'codes of another length',
      { [name]: bytes(new Uint8Array(199)) },
      /takes 200 bytes of codes, got 199/,
    ],
    [
      'a scale too few',
      { [`${name}.absmax`]: bytes(new Uint8Array(6)) },
      /absmax is U8 \[6\].*U8 \[7\]/,
    ],
    [
      'scales of another dtype',
      { [`${name}.absmax`]: floats(new Float32Array(7)) },
      /F32 \[7\].*U8 \[7\]/,
    ],
    [
      'nested scales of another length',
      { [`${name}.nested_absmax`]: floats(new Float32Array(2)) },
      /F32 \[1\]/,
    ],
    [
      'a short nested map',
      { [`${name}.nested_quant_map`]: floats(new Float32Array(255)) },
      /F32 \[256\]/,
    ],
    [
      'another quant_map',
      { [`${name}.quant_map`]: floats(new Float32Array(16)) },
      /value 0 is 0, not -1/,
    ],
    [
      'a scale that is NaN',
      { [`${name}.nested_absmax`]: floats(Float32Array.of(Number.NaN)) },
      /holds NaN at 0/,
    ],
    ['a shape that is not that of the codes', put('shape', [4, 101]), /takes 202 bytes of codes/],
    ['a block size that is not that of the scales', put('blocksize', 128), /U8 \[4\]/],
    ['a nested block size that is not that of its scales', put('nested_blocksize', 4), /F32 \[2\]/],
    ['an unknown dtype', put('dtype', 'float64'), /"float64"/],
    ['a shape that is no list', put('shape', null), /shape is null/],
    ['a shape with text', put('shape', ['4', 100]), /shape is "4"/],
    ['a block size that is text', put('blocksize', '64'), /blocksize is "64"/],
    ['another nested dtype', put('nested_dtype', 'float16'), /nested_dtype is "float16"/],
    ['an offset that is text', put('nested_offset', '0.5'), /nested_offset is "0.5"/],
    ['an offset beyond f32', put('nested_offset', 1e300), /f32's range/],
    [
      'a lone nested key',
      state(
        () =>
          '{"quant_type": "nf4", "blocksize": 64, "dtype": "float32", "shape": [4, 100], "nested_blocksize": 256}',
      ),
      /nested_dtype is undefined/,
    ],
    ['text that is not JSON', state((text) => text.slice(1)), /not JSON/],
    ['JSON that is no object', state(() => '[1]'), /not a JSON object/],
    ['bytes that are not UTF-8', { [stateKey]: bytes(Uint8Array.of(0x7b, 0xff)) }, /not JSON/],
  ])('%s', async (_, changes, message) => {
    await expect(read(changes)).rejects.toMatchObject({
      code: 'NF4_CHECKPOINT',
      message: expect.stringMatching(message),
    });
  });

  test('a block size that bitsandbytes does not know', async () => {
    await expect(read(put('blocksize', 48))).rejects.toMatchObject({ code: 'NF4_BLOCK_SIZE' });
  });

  test('scales of one byte without double quantization', async () => {
    await expect(
      read({ [`${name}.absmax`]: bytes(new Uint8Array(7)) }, plain),
    ).rejects.toMatchObject({ code: 'NF4_CHECKPOINT' });
  });
});
