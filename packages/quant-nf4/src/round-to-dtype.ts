import type { FloatDtype } from './nf4-tensor.js';

const word = new Float32Array(1);
const bits = new Uint32Array(word.buffer);

/** Rounds an f32 to nearest even, `drop` bits short of its 23 bits of fraction. */
function roundFraction(x: number, drop: number): number {
  word[0] = x;
  const pattern = bits[0]!;
  const half = (1 << (drop - 1)) - 1 + ((pattern >>> drop) & 1);
  bits[0] = ((pattern + half) >>> drop) << drop;
  return word[0]!;
}

const SMALLEST_NORMAL_HALF = 2 ** -14;
const LARGEST_HALF = 65504;
/** In f64, numbers near this one are 2^-24 apart, as the subnormal halves are. */
const HALF_SUBNORMAL_ROUNDER = 1.5 * 2 ** 28;

function roundToHalf(x: number): number {
  if (Math.abs(x) < SMALLEST_NORMAL_HALF) {
    const rounded = x + HALF_SUBNORMAL_ROUNDER - HALF_SUBNORMAL_ROUNDER;
    return rounded === 0 ? x * 0 : rounded; // x * 0 keeps the sign of zero
  }
  const rounded = roundFraction(x, 13);
  return Math.abs(rounded) > LARGEST_HALF ? rounded * Infinity : rounded;
}

/**
 * What a finite f32 becomes in `dtype`, widened again: round to nearest, ties to even, beyond the
 * largest half infinite.
 */
export function roundToDtype(x: number, dtype: FloatDtype): number {
  if (dtype === 'float32') return x;
  return dtype === 'float16' ? roundToHalf(x) : roundFraction(x, 16);
}
