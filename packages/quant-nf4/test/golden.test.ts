import { describe, expect, test } from 'vitest';
import {
  dequantizeNf4,
  type FloatDtype,
  fromBitsandbytes,
  type Nf4Tensor,
  quantizeNf4,
  toBitsandbytes,
} from '../src/index.js';
import {
  bitsOf,
  decode,
  fixtureBytes,
  fixtureFloats,
  fixtureJson,
  floatsOf,
  golden,
} from './fixtures.js';
import { sourceOf } from './source.js';

const text = (bytes: Uint8Array | Float32Array) => new TextDecoder().decode(bytes);

describe.each(['w0', 'w1', 'w2_fp16', 'w3_bf16'])('the vectors %s', (name) => {
  const facts = fixtureJson<{
    shape: number[];
    src_dtype: FloatDtype;
    blocksize: number;
    nested_blocksize: number;
    nested_offset: number;
    as_dict: Record<string, [string, number[]]>;
    quant_state_json: string;
  }>(`${name}.json`);
  const { shape, src_dtype: dtype, blocksize: blockSize } = facts;
  const weight = fixtureFloats(`${name}.weight.f32le.bin`);
  const tensor = quantizeNf4(weight, { shape, dtype, blockSize, name });

  test('codes, packing and scales are equal', () => {
    expect(tensor.codes).toEqual(fixtureBytes(`${name}.packed.u8.bin`));
    const plain = quantizeNf4(weight, { shape, dtype, blockSize, doubleQuant: false });
    expect(plain.codes).toEqual(tensor.codes);
    expect(plain.scales).toEqual({
      kind: 'plain',
      absmax: fixtureFloats(`${name}.absmax.f32le.bin`),
    });
  });

  test('double quantization is equal', () => {
    expect(tensor.scales).toEqual({
      kind: 'double',
      codes: fixtureBytes(`${name}.nested_q.u8.bin`),
      absmax: fixtureFloats(`${name}.nested_absmax.f32le.bin`),
      codeMap: fixtureFloats('dynamic_map_signed.f32le.bin'),
      offset: facts.nested_offset,
      blockSize: facts.nested_blocksize,
    });
  });

  test('dequantized values are equal', () => {
    expect(bitsOf(dequantizeNf4(tensor))).toEqual(
      bitsOf(fixtureFloats(`${name}.dequant.f32le.bin`)),
    );
  });

  test('checkpoint entries are equal', () => {
    const entries = toBitsandbytes('fc1.weight', tensor);
    expect(text(entries['fc1.weight.quant_state.bitsandbytes__nf4']!.data)).toBe(
      facts.quant_state_json,
    );
    const described = Object.fromEntries(
      Object.entries(entries)
        .filter(([key]) => key !== 'fc1.weight')
        .map(([key, { dtype, shape }]) => [
          key.replace('fc1.weight.', ''),
          [dtype === 'U8' ? 'uint8' : 'float32', shape],
        ]),
    );
    expect(described).toEqual(facts.as_dict);
  });
});

describe.each(golden.cases)('bitsandbytes on the CPU: $name', (expected) => {
  const { dtype, shape, blockSize, doubleQuant } = expected;
  const tensor = quantizeNf4(floatsOf(decode(expected.weight)), {
    dtype,
    shape,
    blockSize,
    doubleQuant,
  });

  test('codes and scales are equal', () => {
    expect(tensor.codes).toEqual(decode(expected.codes));
    if (tensor.scales.kind === 'double') {
      expect(tensor.scales.codes).toEqual(decode(expected.absmax));
      expect(tensor.scales.absmax).toEqual(floatsOf(decode(expected.nestedAbsmax!)));
    } else {
      expect(tensor.scales.absmax).toEqual(floatsOf(decode(expected.absmax)));
    }
  });

  test('quant_state is equal, and what it says reads back', async () => {
    const entries = toBitsandbytes('w', tensor);
    expect(text(entries['w.quant_state.bitsandbytes__nf4']!.data)).toBe(expected.quantState);
    expect(await fromBitsandbytes('w', sourceOf(entries))).toEqual(tensor);
  });

  test('dequantized values are equal', () => {
    expect(bitsOf(dequantizeNf4(tensor))).toEqual(bitsOf(floatsOf(decode(expected.dequantized))));
  });
});

test('a block of zeros is read as CUDA wrote it: code 0 of scale 0 is -0', () => {
  const cuda: Nf4Tensor = {
    shape: [64],
    dtype: 'float32',
    blockSize: 64,
    codes: new Uint8Array(32),
    scales: { kind: 'plain', absmax: new Float32Array(1) },
  };
  expect(dequantizeNf4(cuda)).toEqual(new Float32Array(64).fill(-0));
});
