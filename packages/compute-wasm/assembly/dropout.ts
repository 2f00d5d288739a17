// The counter-based generator of packages/compute/src/random.ts, four elements at a time.
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

// The two multipliers, and the places of four lanes.
const TABLE: usize = memory.data<u32>([0x7feb352d, 0x846ca68b]);
const PLACES: usize = memory.data<u32>([0, 1, 2, 3]);

/** lowbias32: https://nullprogram.com/blog/2018/07/31/ */
function mix4(x: v128): v128 {
  let v = i32x4.mul(v128.xor(x, i32x4.shr_u(x, 16)), v128.load_splat<u32>(TABLE));
  v = i32x4.mul(v128.xor(v, i32x4.shr_u(v, 15)), v128.load_splat<u32>(TABLE, 4));
  return v128.xor(v, i32x4.shr_u(v, 16));
}

/** Integers: x, out, elements, first key, second key, threshold, accumulate; floats: scale. */
export function dropout(thread: i32): void {
  const x = pointer(0);
  const out = pointer(1);
  const total = integer(2);
  // The first key is added to the index: its part is the same for a lane of every vector.
  const first = i32x4.add(i32x4.splat(integer(3)), v128.load(PLACES));
  const second = i32x4.splat(integer(4));
  const threshold = i32x4.splat(integer(5));
  const accumulate = integer(6);
  const scale = f32x4.splat(float(0));
  for (let chunk = nextChunk(); chunk < chunkCount(); chunk = nextChunk()) {
    const end = chunkEnd(chunk, total);
    for (let i = chunk * CHUNK_ELEMENTS; i < end; i += 4) {
      const at = (<usize>i) << 2;
      const bits = mix4(v128.xor(mix4(i32x4.add(i32x4.splat(i), first)), second));
      const kept = i32x4.ge_u(bits, threshold);
      let v = v128.and(kept, f32x4.mul(load4(x + at, end - i), scale));
      if (accumulate) v = f32x4.add(v, load4(out + at, end - i));
      store4(out + at, end - i, v);
    }
  }
}
