// gelu_new: 0.5 x (1 + tanh(u)) = x s with s = 1 / (1 + e), e = exp(-2u): no tanh, and no cancellation.
import { CHUNK_ELEMENTS, chunkCount, chunkEnd, integer, nextChunk, pointer } from './control';
import { load4, madd, store4 } from './simd';
import { constant, exp4 } from './transcendental';

// u = a x + b x^3 with a = sqrt(2 / pi), b = 0.044715 a. The table holds -2a, -2b, 2a, 6b and 1.
const TABLE: usize = memory.data<f32>([
  -1.5957691216057308, -0.07135481627260025, 1.5957691216057308, 0.21406444881780073, 1.0,
]);

/** exp(-2u) */
function exponential(x: v128): v128 {
  const slope = madd(f32x4.mul(x, x), constant(TABLE, 1), constant(TABLE, 0));
  return exp4(f32x4.mul(x, slope));
}

/** Integers: x, out, elements. */
export function gelu(thread: i32): void {
  const from = pointer(0);
  const to = pointer(1);
  const total = integer(2);
  for (let chunk = nextChunk(); chunk < chunkCount(); chunk = nextChunk()) {
    const end = chunkEnd(chunk, total);
    for (let i = chunk * CHUNK_ELEMENTS; i < end; i += 4) {
      const at = (<usize>i) << 2;
      const x = load4(from + at, end - i);
      store4(to + at, end - i, f32x4.div(x, f32x4.add(constant(TABLE, 4), exponential(x))));
    }
  }
}

/** dX = dOut (s + 2 u'(x) x s (1 - s)). Integers: dOut, x, dX, elements. */
export function geluBackward(thread: i32): void {
  const dOut = pointer(0);
  const from = pointer(1);
  const dX = pointer(2);
  const total = integer(3);
  for (let chunk = nextChunk(); chunk < chunkCount(); chunk = nextChunk()) {
    const end = chunkEnd(chunk, total);
    for (let i = chunk * CHUNK_ELEMENTS; i < end; i += 4) {
      const at = (<usize>i) << 2;
      const x = load4(from + at, end - i);
      const e = exponential(x);
      const s = f32x4.div(constant(TABLE, 4), f32x4.add(constant(TABLE, 4), e));
      const slope = madd(f32x4.mul(x, x), constant(TABLE, 3), constant(TABLE, 2));
      // 1 - s = e s
      const bump = f32x4.mul(f32x4.mul(f32x4.mul(s, e), s), f32x4.mul(x, slope));
      store4(dX + at, end - i, f32x4.mul(load4(dOut + at, end - i), f32x4.add(s, bump)));
    }
  }
}
