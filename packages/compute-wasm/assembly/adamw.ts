import {
  CHUNK_ELEMENTS,
  chunkCount,
  chunkEnd,
  float,
  integer,
  nextChunk,
  pointer,
} from './control';
import { load4, store4 } from './simd';

/**
 * Integers: parameter, gradient, first moment, second moment, scale, elements; floats: 1 - lr wd,
 * lr / (1 - b1^t), 1 / sqrt(1 - b2^t), b1, 1 - b1, b2, 1 - b2, epsilon.
 */
export function adamw(thread: i32): void {
  const parameter = pointer(0);
  const gradient = pointer(1);
  const first = pointer(2);
  const second = pointer(3);
  const total = integer(5);
  const scale = f32x4.splat(load<f32>(pointer(4)));
  const decay = f32x4.splat(float(0));
  const rate = f32x4.splat(float(1));
  const correction = f32x4.splat(float(2));
  const beta1 = f32x4.splat(float(3));
  const rest1 = f32x4.splat(float(4));
  const beta2 = f32x4.splat(float(5));
  const rest2 = f32x4.splat(float(6));
  const epsilon = f32x4.splat(float(7));
  for (let chunk = nextChunk(); chunk < chunkCount(); chunk = nextChunk()) {
    const end = chunkEnd(chunk, total);
    for (let i = chunk * CHUNK_ELEMENTS; i < end; i += 4) {
      const at = (<usize>i) << 2;
      const count = end - i;
      const g = f32x4.mul(load4(gradient + at, count), scale);
      const m = f32x4.add(f32x4.mul(beta1, load4(first + at, count)), f32x4.mul(rest1, g));
      const v = f32x4.add(
        f32x4.mul(beta2, load4(second + at, count)),
        f32x4.mul(rest2, f32x4.mul(g, g)),
      );
      const root = f32x4.add(f32x4.mul(f32x4.sqrt(v), correction), epsilon);
      const p = f32x4.mul(load4(parameter + at, count), decay);
      store4(first + at, count, m);
      store4(second + at, count, v);
      store4(parameter + at, count, f32x4.sub(p, f32x4.div(f32x4.mul(rate, m), root)));
    }
  }
}
