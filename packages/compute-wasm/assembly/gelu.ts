// gelu_new: 0.5 x (1 + tanh(u)) = x s with s = 1 / (1 + e), e = exp(-2u): no tanh, and no cancellation.
import { CHUNK_ELEMENTS, chunkCount, chunkEnd, integer, nextChunk, pointer } from './control';
import { load4, store4 } from './simd';
import { exp4 } from './transcendental';

/** sqrt(2 / pi) */
const SCALE: f32 = 0.7978845608028654;
const CUBIC: f32 = 0.044715;

/** exp(-2u), u = SCALE (x + CUBIC x^3). */
function exponential(x: v128): v128 {
  const inner = f32x4.add(f32x4.mul(f32x4.mul(x, x), f32x4.splat(CUBIC)), f32x4.splat(1));
  return exp4(f32x4.mul(f32x4.mul(x, inner), f32x4.splat(-2 * SCALE)));
}

/** Integers: x, out, elements. */
export function gelu(thread: i32): void {
  const total = integer(2);
  const one = f32x4.splat(1);
  for (let chunk = nextChunk(); chunk < chunkCount(); chunk = nextChunk()) {
    const end = chunkEnd(chunk, total);
    for (let i = chunk * CHUNK_ELEMENTS; i < end; i += 4) {
      const at = (<usize>i) << 2;
      const x = load4(pointer(0) + at, end - i);
      store4(pointer(1) + at, end - i, f32x4.div(x, f32x4.add(one, exponential(x))));
    }
  }
}

/** dX = dOut (s + 2 x s (1 - s) SCALE (1 + 3 CUBIC x^2)). Integers: dOut, x, dX, elements. */
export function geluBackward(thread: i32): void {
  const total = integer(3);
  const one = f32x4.splat(1);
  for (let chunk = nextChunk(); chunk < chunkCount(); chunk = nextChunk()) {
    const end = chunkEnd(chunk, total);
    for (let i = chunk * CHUNK_ELEMENTS; i < end; i += 4) {
      const at = (<usize>i) << 2;
      const x = load4(pointer(1) + at, end - i);
      const e = exponential(x);
      const s = f32x4.div(one, f32x4.add(one, e));
      const inner = f32x4.add(f32x4.mul(f32x4.mul(x, x), f32x4.splat(3 * CUBIC)), one);
      // 1 - s = e s
      const bump = f32x4.mul(f32x4.mul(f32x4.mul(s, e), s), f32x4.mul(x, inner));
      const slope = f32x4.add(s, f32x4.mul(bump, f32x4.splat(2 * SCALE)));
      store4(pointer(2) + at, end - i, f32x4.mul(load4(pointer(0) + at, end - i), slope));
    }
  }
}
