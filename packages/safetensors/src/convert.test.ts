import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { failure, jsonFixture } from '../test/support.js';
import { fromFloat32, type SafetensorsDtype, toFloat32 } from './index.js';

const golden = jsonFixture<Record<string, string> & { lower: number[] }>('rounding.json');

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const bytesOf = (view: ArrayBufferView) =>
  new Uint8Array(view.buffer, view.byteOffset, view.byteLength);

/** Every 16-bit pattern. */
const patterns = Uint16Array.from({ length: 65536 }, (_, i) => i);

/** The value of a 16-bit float from the definition of IEEE 754, in float64 arithmetic. */
function ieeeValue(bits: number, exponentBits: number): number {
  const mantissaBits = 15 - exponentBits;
  const bias = 2 ** (exponentBits - 1) - 1;
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits & 0x7fff) >>> mantissaBits;
  const mantissa = (bits & (2 ** mantissaBits - 1)) / 2 ** mantissaBits;
  if (exponent === 2 ** exponentBits - 1) return mantissa === 0 ? sign * Infinity : Number.NaN;
  if (exponent === 0) return sign * mantissa * 2 ** (1 - bias);
  return sign * (1 + mantissa) * 2 ** (exponent - bias);
}

describe.each([
  { dtype: 'F16', exponentBits: 5 },
  { dtype: 'BF16', exponentBits: 8 },
] as const)('$dtype', ({ dtype, exponentBits }) => {
  const wide = toFloat32(bytesOf(patterns), dtype);
  const narrow = (value: number) => {
    const bytes = fromFloat32(new Float32Array([value]), dtype);
    return bytes[0]! | (bytes[1]! << 8);
  };

  test('widens all 65,536 values to what IEEE 754 says', () => {
    for (const bits of patterns) {
      if (!Object.is(wide[bits], ieeeValue(bits, exponentBits))) {
        expect.fail(`0x${bits.toString(16)}: ${wide[bits]}, not ${ieeeValue(bits, exponentBits)}`);
      }
    }
  });

  test('brings all 65,536 values back bit for bit, NaNs with their payload', () => {
    expect(fromFloat32(wide, dtype)).toEqual(bytesOf(patterns));
  });

  test('rounds around every midpoint to nearest, ties to even', () => {
    const infinity = ((1 << exponentBits) - 1) << (15 - exponentBits);
    const step = new Float32Array(1);
    const stepBits = new Uint32Array(step.buffer);
    for (let bits = 0; bits < infinity; bits++) {
      // Above the largest value the midpoint is where the next one would have been.
      const next = bits + 1 === infinity ? wide[bits]! * 2 - wide[bits - 1]! : wide[bits + 1]!;
      const middle = (wide[bits]! + next) / 2; // exact in float64, and in f32 below 2^128
      if (Math.fround(middle) !== middle) continue;
      const even = bits % 2 === 0 ? bits : bits + 1;
      step[0] = middle;
      stepBits[0]!--;
      const below = step[0]!;
      stepBits[0]! += 2;
      const above = step[0]!;
      if (narrow(middle) !== even || narrow(-middle) !== (even | 0x8000)) {
        expect.fail(`the tie ${middle} gives 0x${narrow(middle).toString(16)}`);
      }
      if (narrow(below) !== bits) expect.fail(`${below} gives 0x${narrow(below).toString(16)}`);
      if (narrow(above) !== bits + 1) expect.fail(`${above} gives 0x${narrow(above).toString(16)}`);
    }
  });

  test('is nearest for any f32', () => {
    fc.assert(
      fc.property(fc.float({ noNaN: true }), (value) => {
        const bits = narrow(value);
        if (!Number.isFinite(wide[bits]!)) {
          const largest = wide[bits - 1]!;
          expect(Math.abs(value)).toBeGreaterThan(Math.abs(largest));
          return;
        }
        const error = Math.abs(value - wide[bits]!);
        for (const other of [bits - 1, bits + 1]) {
          const neighbour = wide[other & 0xffff]!;
          if (Number.isFinite(neighbour)) expect(Math.abs(value - neighbour) >= error).toBe(true);
        }
      }),
      { numRuns: 2000 },
    );
  });
});

test('agrees bit for bit with NumPy and ml_dtypes', () => {
  const numbersOf = (bits: Uint32Array) => bits.filter((each) => (each & 0x7fffffff) <= 0x7f800000);
  expect(sha256(bytesOf(toFloat32(bytesOf(patterns), 'F16')))).toBe(
    golden['f16 to f32, all 65536'],
  );
  const bfloats = patterns.filter((each) => (each & 0x7fff) <= 0x7f80);
  expect(sha256(bytesOf(toFloat32(bytesOf(bfloats), 'BF16')))).toBe(
    golden['bf16 to f32, all 65536 without NaN'],
  );

  const count = golden.lower.length;
  const singles = Uint32Array.from(
    { length: 65536 * count },
    (_, i) => ((i / count) << 16) | golden.lower[i % count]!,
  );
  expect(sha256(fromFloat32(new Float32Array(singles.buffer), 'F16'))).toBe(
    golden['f32 to f16, upper x lower'],
  );
  const numbers = new Float32Array(numbersOf(singles).buffer);
  expect(sha256(fromFloat32(numbers, 'BF16'))).toBe(
    golden['f32 to bf16, upper x lower without NaN'],
  );
});

test('a NaN stays a NaN of the same sign, whatever its payload', () => {
  const nans = new Uint32Array([0x7f800001, 0xff800001, 0x7fffffff, 0xffc00000, 0x7fc00000]);
  for (const dtype of ['F16', 'BF16'] as const) {
    const bytes = fromFloat32(new Float32Array(nans.buffer), dtype);
    expect(Array.from(toFloat32(bytes, dtype))).toEqual(Array(5).fill(Number.NaN));
    expect([1, 3, 5, 7, 9].map((i) => bytes[i]! >>> 7)).toEqual([0, 1, 0, 1, 0]);
  }
});

test('F32 keeps every bit, F64 rounds to nearest even', () => {
  const values = new Float32Array([0, -0, 1e-45, 3.4e38, Infinity, Number.NaN]);
  expect(toFloat32(fromFloat32(values, 'F32'), 'F32')).toEqual(values);
  const doubles = new Float64Array([1 + 2 ** -24, 1 + 3 * 2 ** -24, 1e-46, 1e39, Number.NaN, -0]);
  expect(toFloat32(bytesOf(doubles), 'F64')).toEqual(
    new Float32Array([1, 1 + 2 ** -22, 0, Infinity, Number.NaN, -0]),
  );
});

test('takes bytes at any offset and always returns memory of its own', () => {
  for (const [dtype, view] of [
    ['F64', new Float64Array([1.5, -3])],
    ['F32', new Float32Array([1.5, -3])],
    ['F16', new Uint16Array([0x3e00, 0xc200])],
    ['BF16', new Uint16Array([0x3fc0, 0xc040])],
  ] as const) {
    for (let offset = 0; offset < 9; offset++) {
      // A Buffer's slice() shares memory, unlike a Uint8Array's: both must work.
      const memory = Buffer.alloc(32);
      memory.set(bytesOf(view), offset);
      const part = memory.subarray(offset, offset + view.byteLength);
      const widened = toFloat32(part, dtype);
      memory.fill(0);
      expect(Array.from(widened), `${dtype} at ${offset}`).toEqual([1.5, -3]);
    }
  }
  const all = new Float32Array([9, 1.5, -3, 9]);
  expect(Array.from(fromFloat32(all.subarray(1, 3), 'F16'))).toEqual([0x00, 0x3e, 0x00, 0xc2]);
  const copy = fromFloat32(all.subarray(1, 3), 'F32');
  all.fill(0);
  expect(Array.from(toFloat32(copy, 'F32'))).toEqual([1.5, -3]);
});

test('refuses dtypes that are no floats and bytes that are no whole elements', async () => {
  for (const dtype of ['I32', 'U8', 'BOOL', 'C64', 'F8_E4M3', 'F4'] as const) {
    expect((await failure(() => toFloat32(new Uint8Array(8), dtype))).code).toBe(
      'SAFETENSORS_NOT_FLOAT',
    );
  }
  expect((await failure(() => toFloat32(new Uint8Array(7), 'F16'))).code).toBe(
    'SAFETENSORS_DATA_LENGTH',
  );
  const unchecked = 'I32' as SafetensorsDtype as 'F32';
  expect((await failure(() => fromFloat32(new Float32Array(1), unchecked))).code).toBe(
    'SAFETENSORS_DTYPE',
  );
});
