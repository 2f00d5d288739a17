import { chunkCount, float, integer, nextChunk, pointer, sharedScratch } from './control';

/** The sum of squares of one chunk, in f64. Integers: x, elements, elements of a chunk. */
export function sumSquaresPart(thread: i32): void {
  const total = integer(1);
  const chunkElements = integer(2);
  for (let chunk = nextChunk(); chunk < chunkCount(); chunk = nextChunk()) {
    const start = chunk * chunkElements;
    const end = min(total, start + chunkElements);
    let x = pointer(0) + ((<usize>start) << 2);
    let s0 = f64x2.splat(0);
    let s1 = f64x2.splat(0);
    let i = start;
    for (; i + 4 <= end; i += 4) {
      const low = f64x2.promote_low_f32x4(v128.load64_zero(x));
      const high = f64x2.promote_low_f32x4(v128.load64_zero(x, 8));
      s0 = f64x2.add(s0, f64x2.mul(low, low));
      s1 = f64x2.add(s1, f64x2.mul(high, high));
      x += 16;
    }
    const s = f64x2.add(s0, s1);
    let sum = f64x2.extract_lane(s, 0) + f64x2.extract_lane(s, 1);
    for (; i < end; i++) {
      const value = <f64>load<f32>(x);
      sum += value * value;
      x += 4;
    }
    store<f64>(sharedScratch() + ((<usize>chunk) << 3), sum);
  }
}

/** Adds the parts in order. Integers: out, parts, accumulate. */
export function sumSquaresTotal(thread: i32): void {
  const out = pointer(0);
  let sum: f64 = integer(2) ? load<f32>(out) : 0;
  for (let part: usize = 0; part < <usize>integer(1); part++)
    sum += load<f64>(sharedScratch() + (part << 3));
  store<f32>(out, <f32>sum);
}

/** Integers: sumSquares, out; floats: maxNorm. */
export function clipScale(thread: i32): void {
  const norm = sqrt<f64>(load<f32>(pointer(0)));
  const limit = <f64>float(0);
  store<f32>(pointer(1), limit > 0 ? <f32>min<f64>(1, limit / (norm + 1e-6)) : 1);
}
