import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bitsOf, decode, fixtureBytes, fixtureFloats, floatsOf, golden } from '../test/fixtures.js';
import { dequantizeBlockwise, quantizeBlockwise } from './blockwise.js';
import { dynamicMap } from './dynamic-map.js';

const f = Math.fround;

/** bitsandbytes' `dQuantize<0>` (csrc/kernels.cu), step by step. */
function cudaSearch(map: Float32Array, x: number): number {
  let pivot = 127;
  let upperPivot = 255;
  let lowerPivot = 0;
  for (let step = 64; step > 0; step >>= 1) {
    if (x > map[pivot]!) {
      lowerPivot = pivot;
      pivot += step;
    } else {
      upperPivot = pivot;
      pivot -= step;
    }
  }
  const value = map[pivot]!;
  if (x > value) return x > f(f(map[upperPivot]! + value) * 0.5) ? upperPivot : pivot;
  return x < f(f(map[lowerPivot]! + value) * 0.5) ? lowerPivot : pivot;
}

const maps = { signed: dynamicMap(true), unsigned: dynamicMap(false) };

describe.each(['signed', 'unsigned'] as const)('the %s map', (kind) => {
  const map = maps[kind];
  /** Code of `x` in a block whose scale is 1. */
  const codeOf = (x: number) => quantizeBlockwise(Float32Array.of(x, 1), map).codes[0]!;

  test('entries, midpoints and their neighbours get the code of the CUDA search', () => {
    const word = new Float32Array(1);
    const bits = new Int32Array(word.buffer);
    for (let k = 0; k < 255; k += 1) {
      for (const x of [map[k]!, f(f(map[k]! + map[k + 1]!) * 0.5)]) {
        for (const step of [-1, 0, 1]) {
          word[0] = x;
          bits[0]! += step;
          const near = word[0]!;
          if (Math.abs(near) <= 1) expect(codeOf(near), `${near}`).toBe(cudaSearch(map, near));
        }
      }
    }
  });

  test('any value gets the code of the CUDA search', () => {
    fc.assert(
      fc.property(fc.float({ min: -1, max: 1, noNaN: true }), (x) => {
        expect(codeOf(x)).toBe(cudaSearch(map, x));
      }),
      { numRuns: 2000 },
    );
  });

  test('codes and scales are those of bitsandbytes', () => {
    const expected = golden.blockwise.find((each) => each.signed === (kind === 'signed'))!;
    const { codes, absmax } = quantizeBlockwise(floatsOf(decode(expected.values)), map);
    expect(codes).toEqual(decode(expected.codes));
    expect(absmax).toEqual(floatsOf(decode(expected.absmax)));
  });

  test('a dequantized value is off by at most half a gap of the map', () => {
    const gaps = map.slice(1).map((value, k) => value - map[k]!);
    const halfGap = Math.max(...gaps) / 2;
    fc.assert(
      fc.property(
        fc.float32Array({ min: kind === 'signed' ? -8 : 0, max: 8, noNaN: true, maxLength: 50 }),
        (drawn) => {
          const values = drawn.map((value) => (Math.abs(value) < 1e-30 ? 0 : value));
          const { codes, absmax } = quantizeBlockwise(values, map, 16);
          const decoded = dequantizeBlockwise(codes, absmax, map, 16);
          for (const [i, value] of values.entries()) {
            // 2e-7: scaling and reading round in f32
            const bound = (halfGap + 2e-7) * absmax[Math.floor(i / 16)]!;
            expect(Math.abs(decoded[i]! - value)).toBeLessThanOrEqual(bound);
          }
        },
      ),
    );
  });
});

test('first 8-bit Adam step: states as in bitsandbytes, but for its correction of the sign', () => {
  const gradients = fixtureFloats('adam8.step1.grad.f32le.bin');
  const first = gradients.map((g) => f(1 - f(0.9)) * g);
  const second = gradients.map((g) => f(f(1 - f(0.999)) * g) * g);
  const state1 = quantizeBlockwise(first, maps.signed);
  const state2 = quantizeBlockwise(second, maps.unsigned);
  expect(bitsOf(state1.absmax)).toEqual(bitsOf(fixtureFloats('adam8.step1.absmax1.f32le.bin')));
  expect(bitsOf(state2.absmax)).toEqual(bitsOf(fixtureFloats('adam8.step1.absmax2.f32le.bin')));
  const expected1 = fixtureBytes('adam8.step1.state1.u8.bin');
  const corrected = state1.codes.map((code, i) => {
    const flipped = maps.signed[code]! < 0 !== first[i]! < 0;
    return flipped ? code + (first[i]! > 0 ? 1 : -1) : code;
  });
  expect(corrected).toEqual(expected1);
  expect(state2.codes).toEqual(fixtureBytes('adam8.step1.state2.u8.bin'));
});

test('a block of zeros is code 0 and scale 0, and reads as zero', () => {
  const values = new Float32Array(300);
  values[299] = 2;
  const { codes, absmax } = quantizeBlockwise(values, maps.signed);
  expect(codes.subarray(0, 256)).toEqual(new Uint8Array(256));
  expect([...absmax]).toEqual([0, 2]);
  const decoded = dequantizeBlockwise(codes, absmax, maps.signed);
  expect(decoded.every((value, i) => value === values[i])).toBe(true);
});

test('scales whose inverse overflows do not make NaN', () => {
  const { codes } = quantizeBlockwise(Float32Array.of(1e-42, 0), maps.signed);
  expect([...codes]).toEqual([cudaSearch(maps.signed, f(f(1e-42) * f(1 / f(1e-38)))), 127]);
});

test('refuses what it cannot quantize', () => {
  const values = new Float32Array(300);
  values[257] = Number.NaN;
  expect(() => quantizeBlockwise(values, maps.signed)).toThrow(
    expect.objectContaining({
      code: 'BLOCKWISE_NOT_FINITE',
      details: { index: 257, value: 'NaN' },
    }),
  );
  const one = Float32Array.of(1);
  expect(() => quantizeBlockwise(one, maps.signed.slice(1))).toThrow(
    expect.objectContaining({ code: 'BLOCKWISE_CODE_MAP' }),
  );
  expect(() => quantizeBlockwise(one, maps.signed.slice().reverse())).toThrow(/not ascending/);
  expect(() => quantizeBlockwise(one, maps.signed, 0)).toThrow(
    expect.objectContaining({ code: 'BLOCKWISE_BLOCK_SIZE' }),
  );
  expect(() => dequantizeBlockwise(new Uint8Array(300), one, maps.signed)).toThrow(
    expect.objectContaining({ code: 'BLOCKWISE_LENGTH' }),
  );
});
