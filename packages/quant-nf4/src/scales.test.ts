import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeScales, doubleQuantize } from './scales.js';

test('a single scale is kept exactly: it is the offset', () => {
  const scales = doubleQuantize(Float32Array.of(0.3), 'w');
  expect(scales).toMatchObject({ offset: Math.fround(0.3), absmax: Float32Array.of(0) });
  expect(decodeScales(scales)).toEqual(Float32Array.of(0.3));
});

test('refuses scales whose sum leaves f32', () => {
  expect(() => doubleQuantize(new Float32Array(64).fill(3e38), 'fc1.weight')).toThrow(
    expect.objectContaining({ code: 'NF4_SCALES_OVERFLOW' }),
  );
});

test('a decoded scale is off by at most half a gap of the map in its nested block', () => {
  // Gaps of the signed map are at most 0.0141 (between its upper entries), and 1 - 0.993 at the ends.
  fc.assert(
    fc.property(
      fc.float32Array({ min: 0, max: 10, noNaN: true, minLength: 1, maxLength: 600 }),
      (absmax) => {
        const scales = doubleQuantize(absmax, 'w');
        const decoded = decodeScales(scales);
        for (const [i, scale] of absmax.entries()) {
          const nested = scales.absmax[Math.floor(i / 256)]!;
          // f32 rounding, and the clamp for nested scales below 1e-38
          const bound = 0.00704 * nested + 1e-6 * scales.offset + 1e-37;
          expect(Math.abs(decoded[i]! - scale)).toBeLessThanOrEqual(bound);
        }
      },
    ),
  );
});

test('any range is that part of the whole, and plain scales are a copy', () => {
  const absmax = Float32Array.from({ length: 700 }, (_, i) => 1 + Math.sin(i));
  for (const scales of [{ kind: 'plain', absmax } as const, doubleQuantize(absmax, 'w')]) {
    const whole = decodeScales(scales);
    expect(whole).toHaveLength(700);
    expect(decodeScales(scales, 250, 515)).toEqual(whole.slice(250, 515));
    whole[0] = 9;
    expect(decodeScales(scales, 0, 1)[0]).toBeCloseTo(1, 1);
  }
});
