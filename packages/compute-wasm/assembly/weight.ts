// A weight `[out, in]` of any kind, read a stretch of a row at a time.
import { integer, pointer } from './control';
import { widenHalves } from './half';
import { decodeNf4, WEIGHT } from './nf4';

export const KIND_F32: i32 = 0;
export const KIND_F16: i32 = 1;
export const KIND_NF4: i32 = 2;

export function weightKind(): i32 {
  return integer(WEIGHT);
}

/** The address of element `index` of a weight that is f32. */
export function denseAddress(index: u32): usize {
  return pointer(WEIGHT + 1) + ((<usize>index) << 2);
}

/** Elements [start, start + count) of the flattened matrix, as f32 at `to`; for f16 and NF4. */
export function widen(start: u32, count: i32, to: usize): void {
  if (weightKind() == KIND_NF4) decodeNf4(start, count, to);
  else widenHalves(pointer(WEIGHT + 1) + ((<usize>start) << 1), count, to);
}
