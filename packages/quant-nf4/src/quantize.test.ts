import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { dequantizeNf4 } from './dequantize.js';
import { NF4_BLOCK_SIZES, type Nf4Tensor } from './nf4-tensor.js';
import { createNf4Quantizer, quantizeNf4 } from './quantize.js';
import { roundToDtype } from './round-to-dtype.js';
import { decodeScales } from './scales.js';

/** Weights of any usual magnitude; 1 to 700 of them, so that blocks are partial and counts odd. */
const weights = fc
  .tuple(
    fc.float32Array({ min: -1, max: 1, noNaN: true, minLength: 1, maxLength: 700 }),
    fc.constantFrom(1e-6, 0.02, 1, 1e4),
  )
  .map(([values, scale]) => values.map((each) => (Math.abs(each) < 1e-20 ? 0 : each * scale)));

const blockSizes = fc.constantFrom(32, 64, 128, 512);

/** One code a value, unpacked. */
function unpack(tensor: Nf4Tensor): number[] {
  return Array.from({ length: tensor.shape[0]! }, (_, i) => {
    const pair = tensor.codes[i >> 1]!;
    return i % 2 === 0 ? pair >> 4 : pair & 15;
  });
}

test('quantizing dequantized values again changes nothing', () => {
  fc.assert(
    fc.property(weights, blockSizes, (values, blockSize) => {
      const options = { shape: [values.length], blockSize, doubleQuant: false };
      const tensor = quantizeNf4(values, options);
      expect(quantizeNf4(dequantizeNf4(tensor), options)).toEqual(tensor);
    }),
  );
});

test.each(['float16', 'bfloat16'] as const)('nor does it for a source in %s', (dtype) => {
  // Values in the range of normal halves: rounding to subnormal ones can move a code.
  const values = fc.float32Array({ min: -8, max: 8, noNaN: true, minLength: 1, maxLength: 300 });
  fc.assert(
    fc.property(values, (drawn) => {
      const source = drawn.map((each) => (Math.abs(each) < 1e-3 ? 0 : roundToDtype(each, dtype)));
      const options = { shape: [source.length], dtype, doubleQuant: false };
      const tensor = quantizeNf4(source, options);
      expect(quantizeNf4(dequantizeNf4(tensor), options)).toEqual(tensor);
    }),
  );
});

test('with double quantization it keeps the codes, and the scales that decode to positive', () => {
  fc.assert(
    fc.property(weights, (values) => {
      const options = { shape: [values.length], blockSize: 64 };
      const tensor = quantizeNf4(values, options);
      const decoded = dequantizeNf4(tensor);
      const again = quantizeNf4(decoded, { ...options, doubleQuant: false });
      const scales = decodeScales(tensor.scales);
      const absmax = decodeScales(again.scales);
      const codes = unpack(tensor);
      const codesAgain = unpack(again);
      for (const [block, scale] of scales.entries()) {
        const start = block * 64;
        const zero = values.subarray(start, start + 64).every((each) => each === 0);
        if (zero || scale < 1e-30) continue;
        expect(absmax[block]).toBe(scale);
        expect(codesAgain.slice(start, start + 64)).toEqual(codes.slice(start, start + 64));
      }
    }),
  );
});

test('a value is off by at most half the widest gap, 0.152 of its scale, and what its scale is off', () => {
  const halfGap = (1 - 0.6961928009986877) / 2;
  fc.assert(
    fc.property(weights, blockSizes, fc.boolean(), (values, blockSize, doubleQuant) => {
      const options = { shape: [values.length], blockSize };
      const tensor = quantizeNf4(values, { ...options, doubleQuant });
      const exact = decodeScales(quantizeNf4(values, { ...options, doubleQuant: false }).scales);
      const scales = decodeScales(tensor.scales);
      const decoded = dequantizeNf4(tensor);
      for (const [i, value] of values.entries()) {
        const block = Math.floor(i / blockSize);
        const bound = halfGap * exact[block]! + Math.abs(scales[block]! - exact[block]!);
        expect(Math.abs(decoded[i]! - value)).toBeLessThanOrEqual(bound * 1.000001);
      }
    }),
  );
});

test('pieces of any lengths give what the whole gives', () => {
  fc.assert(
    fc.property(
      weights,
      fc.array(fc.nat({ max: 200 }), { maxLength: 8 }),
      blockSizes,
      (values, lengths, blockSize) => {
        const options = { shape: [values.length], blockSize };
        const quantizer = createNf4Quantizer(options);
        let at = 0;
        for (const length of lengths) {
          quantizer.push(values.subarray(at, at + length));
          at = Math.min(at + length, values.length);
        }
        quantizer.push(values.subarray(at));
        expect(quantizer.finish()).toEqual(quantizeNf4(values, options));
      },
    ),
  );
});

test('codes are packed with the first of two in the high nibble, and an odd count ends on zero', () => {
  const values = Float32Array.of(1, -1, 0, 0.4407, -0.39);
  const { codes } = quantizeNf4(values, { shape: [5] });
  expect([...codes]).toEqual([0xf0, 0x7c, 0x37]);
});

test.each([true, false])(
  'a block of zeros is exactly zero (double quantization: %s)',
  (doubleQuant) => {
    const values = Float32Array.from({ length: 192 }, (_, i) => (i < 64 ? 0 : Math.sin(i)));
    const tensor = quantizeNf4(values, { shape: [3, 64], doubleQuant });
    expect(tensor.codes.subarray(0, 32)).toEqual(new Uint8Array(32).fill(0x77));
    const decoded = dequantizeNf4(tensor);
    expect(decoded.subarray(0, 64).every((value) => value === 0)).toBe(true);
    expect(decoded.subarray(64).every((value) => value === 0)).toBe(false);
  },
);

test('a last, partial block of zeros has scale 0', () => {
  const values = new Float32Array(65).fill(1, 0, 64);
  const tensor = quantizeNf4(values, { shape: [65], doubleQuant: false });
  expect([...decodeScales(tensor.scales)]).toEqual([1, 0]);
  expect(tensor.codes.at(-1)).toBe(0x77);
});

test('all block sizes of bitsandbytes are taken', () => {
  const values = Float32Array.from({ length: 5000 }, (_, i) => Math.cos(i));
  for (const blockSize of NF4_BLOCK_SIZES) {
    const tensor = quantizeNf4(values, { shape: [5000], blockSize, doubleQuant: false });
    expect(decodeScales(tensor.scales)).toHaveLength(Math.ceil(5000 / blockSize));
  }
});

describe('refuses', () => {
  test.each([
    ['NaN', Number.NaN],
    ['Infinity', Infinity],
    ['-Infinity', -Infinity],
  ])('%s, naming the tensor and the first index', (text, bad) => {
    const values = new Float32Array(200).fill(0.5);
    values[150] = bad;
    values[151] = Number.NaN;
    const error = expect.objectContaining({
      code: 'NF4_NOT_FINITE',
      details: { tensor: 'fc1.weight', index: 150, value: text },
      message: expect.stringMatching(/^fc1\.weight: value 150 is -?(NaN|Infinity);/),
    });
    expect(() => quantizeNf4(values, { shape: [2, 100], name: 'fc1.weight' })).toThrow(error);
    const quantizer = createNf4Quantizer({ shape: [200], name: 'fc1.weight' });
    expect(() => {
      for (let at = 0; at < 200; at += 50) quantizer.push(values.subarray(at, at + 50));
    }).toThrow(error);
  });

  test('a bad value in the last, partial block', () => {
    const values = new Float32Array(67);
    values[66] = Number.NaN;
    expect(() => quantizeNf4(values, { shape: [67] })).toThrow(/tensor: value 66 is NaN/);
  });

  test.each([0, 16, 63, 100, 8192, 64.5, Number.NaN])('block size %s', (blockSize) => {
    expect(() => quantizeNf4(new Float32Array(64), { shape: [64], blockSize })).toThrow(
      expect.objectContaining({ code: 'NF4_BLOCK_SIZE' }),
    );
  });

  test.each([
    ['too few values', [8, 9]],
    ['too many values', [8, 7]],
    ['an empty shape', []],
    ['a dimension of 0', [0, 64]],
    ['a dimension that is not whole', [1.5, 64]],
  ])('%s', (_, shape) => {
    expect(() => quantizeNf4(new Float32Array(64), { shape })).toThrow(
      expect.objectContaining({ code: 'NF4_SHAPE' }),
    );
  });
});
