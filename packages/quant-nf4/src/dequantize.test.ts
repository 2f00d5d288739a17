import fc from 'fast-check';
import { expect, test } from 'vitest';
import { dequantizeNf4 } from './dequantize.js';
import { NF4_CODE } from './nf4-code.js';
import { nf4Bytes } from './nf4-tensor.js';
import { quantizeNf4 } from './quantize.js';

const values = Float32Array.from({ length: 333 }, (_, i) => Math.sin(i * i) * (1 + (i % 7)));

test.each(['float32', 'float16', 'bfloat16'] as const)(
  'any range is that part of the whole: %s',
  (dtype) => {
    const tensor = quantizeNf4(values, { shape: [333], dtype });
    const whole = dequantizeNf4(tensor);
    fc.assert(
      fc.property(fc.nat({ max: 333 }), fc.nat({ max: 333 }), (a, b) => {
        const [start, end] = a < b ? [a, b] : [b, a];
        expect(dequantizeNf4(tensor, { start, end })).toEqual(whole.slice(start, end));
      }),
    );
  },
);

test.each([{ start: -1 }, { end: 334 }, { start: 5, end: 4 }, { start: 0.5 }, { end: Number.NaN }])(
  'refuses %o',
  (range) => {
    const tensor = quantizeNf4(values, { shape: [333] });
    expect(() => dequantizeNf4(tensor, range)).toThrow(
      expect.objectContaining({ code: 'NF4_RANGE' }),
    );
  },
);

test('refuses parts of different lengths', () => {
  const tensor = quantizeNf4(values, { shape: [333] });
  for (const other of [{ shape: [335] }, { blockSize: 32 }]) {
    expect(() => dequantizeNf4({ ...tensor, ...other })).toThrow(
      expect.objectContaining({ code: 'NF4_SHAPE' }),
    );
  }
});

test('all pairs of codes unpack in order', () => {
  const decoded = dequantizeNf4({
    shape: [512],
    dtype: 'float32',
    blockSize: 512,
    codes: Uint8Array.from({ length: 256 }, (_, byte) => byte),
    scales: { kind: 'plain', absmax: Float32Array.of(1) },
  });
  for (let byte = 0; byte < 256; byte += 1) {
    expect(decoded[2 * byte]).toBe(NF4_CODE[byte >> 4]);
    expect(decoded[2 * byte + 1]).toBe(NF4_CODE[byte & 15]);
  }
});

test('bytes in memory: 4.5 bits a value, 4.127 and a map of 1 KB with double quantization', () => {
  const count = 64 * 256 * 8;
  const zeros = new Float32Array(count);
  const plain = nf4Bytes(quantizeNf4(zeros, { shape: [count], doubleQuant: false }));
  const double = nf4Bytes(quantizeNf4(zeros, { shape: [count] }));
  expect((plain * 8) / count).toBe(4.5);
  expect(((double - 1024) * 8) / count).toBe(4.126953125);
});
