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

/** out = alpha x + beta out. Integers: x, out, elements; floats: alpha, beta. */
export function axpby(thread: i32): void {
  const x = pointer(0);
  const out = pointer(1);
  const total = integer(2);
  const alpha = f32x4.splat(float(0));
  const beta = f32x4.splat(float(1));
  const overwrite = float(1) == 0;
  for (let chunk = nextChunk(); chunk < chunkCount(); chunk = nextChunk()) {
    const end = chunkEnd(chunk, total);
    for (let i = chunk * CHUNK_ELEMENTS; i < end; i += 4) {
      const at = (<usize>i) << 2;
      let v = f32x4.mul(alpha, load4(x + at, end - i));
      if (!overwrite) v = f32x4.add(v, f32x4.mul(beta, load4(out + at, end - i)));
      store4(out + at, end - i, v);
    }
  }
}

/** Integers: out, elements; floats: value. */
export function fill(thread: i32): void {
  const out = pointer(0);
  const total = integer(1);
  const value = f32x4.splat(float(0));
  for (let chunk = nextChunk(); chunk < chunkCount(); chunk = nextChunk()) {
    const end = chunkEnd(chunk, total);
    for (let i = chunk * CHUNK_ELEMENTS; i < end; i += 4)
      store4(out + ((<usize>i) << 2), end - i, value);
  }
}
