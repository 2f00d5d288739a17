/**
 * The smallest scale that is inverted: 1/absmax of a smaller one would overflow f32. It is the clamp
 * of bitsandbytes' default (CPU) backend.
 */
const SMALLEST_ABSMAX = Math.fround(1e-38);

/** What a block's values are multiplied by, in f32, to lie in [-1, 1]. */
export function inverseScale(absmax: number): number {
  return Math.fround(1 / Math.max(absmax, SMALLEST_ABSMAX));
}
