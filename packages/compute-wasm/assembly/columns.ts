import { chunkCount, integer, nextChunk, pointer } from './control';
import { load4, store4, sumLanes } from './simd';

/** Integers: x, scale, out, rows, width, rows of a chunk, accumulate. */
export function scaleColumns(thread: i32): void {
  const scale = pointer(1);
  const width = integer(4);
  const accumulate = integer(6) != 0;
  for (let chunk = nextChunk(); chunk < chunkCount(); chunk = nextChunk()) {
    const end = min(integer(3), (chunk + 1) * integer(5));
    for (let row = chunk * integer(5); row < end; row++) {
      const x = pointer(0) + ((<usize>row * width) << 2);
      const out = pointer(2) + ((<usize>row * width) << 2);
      for (let c = 0; c < width; c += 4) {
        const at = (<usize>c) << 2;
        const count = width - c;
        let v = f32x4.mul(load4(x + at, count), load4(scale + at, count));
        if (accumulate) v = f32x4.add(load4(out + at, count), v);
        store4(out + at, count, v);
      }
    }
  }
}

/** Rows that are added in f32 before they join the f64 sum of their column. */
const PART = 16;

/** A chunk is a group of columns. Integers: a, b or 0, out, rows, width, columns of a chunk. */
export function columnSums(thread: i32): void {
  const a = pointer(0);
  const b = pointer(1);
  const rows = integer(3);
  const width = integer(4);
  for (let chunk = nextChunk(); chunk < chunkCount(); chunk = nextChunk()) {
    const end = min(width, (chunk + 1) * integer(5));
    for (let c = chunk * integer(5); c < end; c += 4) {
      const count = end - c;
      const out = pointer(2) + ((<usize>c) << 2);
      let low = f64x2.promote_low_f32x4(load4(out, count));
      let high = f64x2.promote_low_f32x4(upper(load4(out, count)));
      for (let first = 0; first < rows; first += PART) {
        let sum = f32x4.splat(0);
        const last = min(rows, first + PART);
        for (let row = first; row < last; row++) {
          const at = (<usize>(row * width + c)) << 2;
          const value = load4(a + at, count);
          sum = f32x4.add(sum, b ? f32x4.mul(value, load4(b + at, count)) : value);
        }
        low = f64x2.add(low, f64x2.promote_low_f32x4(sum));
        high = f64x2.add(high, f64x2.promote_low_f32x4(upper(sum)));
      }
      const result = v128.shuffle<f64>(
        f32x4.demote_f64x2_zero(low),
        f32x4.demote_f64x2_zero(high),
        0,
        2,
      );
      store4(out, count, result);
    }
  }
}

/** The two upper lanes, in the place of the lower ones. */
function upper(v: v128): v128 {
  return v128.shuffle<f64>(v, v, 1, 1);
}

/** Integers: x, out, rows, width, rows of a chunk. */
export function inverseRowNorms(thread: i32): void {
  const width = integer(3);
  for (let chunk = nextChunk(); chunk < chunkCount(); chunk = nextChunk()) {
    const end = min(integer(2), (chunk + 1) * integer(4));
    for (let row = chunk * integer(4); row < end; row++) {
      const x = pointer(0) + ((<usize>row * width) << 2);
      let sum: f64 = 0;
      for (let first = 0; first < width; first += 64) {
        const last = min(width, first + 64);
        let part = f32x4.splat(0);
        for (let c = first; c < last; c += 4) {
          const v = load4(x + ((<usize>c) << 2), last - c);
          part = f32x4.add(part, f32x4.mul(v, v));
        }
        sum += <f64>sumLanes(part);
      }
      store<f32>(pointer(1) + ((<usize>row) << 2), sum == 0 ? 0 : <f32>(1 / sqrt<f64>(sum)));
    }
  }
}
