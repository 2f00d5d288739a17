// out [M, N] = x W^T (+ bias) for a few rows of x: two rows of W are widened at a time and multiplied
// with four rows of x, k in the lanes. Nothing is packed, which costs more than it gives below some
// 30 rows. The sums run in another order than those of `gemm`, but do not depend on M.
import { chunkCount, integer, nextChunk, pointer, threadScratch } from './control';
import { load4, madd, sumLanes } from './simd';
import { denseAddress, KIND_F32, weightKind, widen } from './weight';

const X: i32 = 0;
const M: i32 = 1;
const K: i32 = 2;
const N: i32 = 5;
const OUT: i32 = 6;
const BIAS: i32 = 7;
const ACCUMULATE: i32 = 8;
const CHUNK_COLUMNS: i32 = 10;

/** Elements of a row of W that are widened at a time: 4 KB. */
const STRETCH: i32 = 1024;

/** Adds the bias and what `out` held, as asked, and writes one element. */
export function putProduct(row: i32, column: i32, sum: f32): void {
  const out = pointer(OUT) + ((<usize>(row * integer(N) + column)) << 2);
  const bias = pointer(BIAS);
  let value = sum;
  if (bias) value += load<f32>(bias + ((<usize>column) << 2));
  if (integer(ACCUMULATE)) value += load<f32>(out);
  store<f32>(out, value);
}

/** Eight sums of products of `count` elements, a vector each: two rows of w with four of x. */
function multiply(
  w0: usize,
  w1: usize,
  x0: usize,
  x1: usize,
  x2: usize,
  x3: usize,
  count: i32,
  sums: usize,
): void {
  let s00 = v128.load(sums);
  let s01 = v128.load(sums, 16);
  let s02 = v128.load(sums, 32);
  let s03 = v128.load(sums, 48);
  let s10 = v128.load(sums, 64);
  let s11 = v128.load(sums, 80);
  let s12 = v128.load(sums, 96);
  let s13 = v128.load(sums, 112);
  const whole = (<usize>(count & ~3)) << 2;
  for (let at: usize = 0; at < whole; at += 16) {
    const a = v128.load(w0 + at);
    const b = v128.load(w1 + at);
    let x = v128.load(x0 + at);
    s00 = madd(a, x, s00);
    s10 = madd(b, x, s10);
    x = v128.load(x1 + at);
    s01 = madd(a, x, s01);
    s11 = madd(b, x, s11);
    x = v128.load(x2 + at);
    s02 = madd(a, x, s02);
    s12 = madd(b, x, s12);
    x = v128.load(x3 + at);
    s03 = madd(a, x, s03);
    s13 = madd(b, x, s13);
  }
  const rest = count & 3;
  if (rest) {
    const a = load4(w0 + whole, rest);
    const b = load4(w1 + whole, rest);
    let x = load4(x0 + whole, rest);
    s00 = madd(a, x, s00);
    s10 = madd(b, x, s10);
    x = load4(x1 + whole, rest);
    s01 = madd(a, x, s01);
    s11 = madd(b, x, s11);
    x = load4(x2 + whole, rest);
    s02 = madd(a, x, s02);
    s12 = madd(b, x, s12);
    x = load4(x3 + whole, rest);
    s03 = madd(a, x, s03);
    s13 = madd(b, x, s13);
  }
  v128.store(sums, s00);
  v128.store(sums, s01, 16);
  v128.store(sums, s02, 32);
  v128.store(sums, s03, 48);
  v128.store(sums, s10, 64);
  v128.store(sums, s11, 80);
  v128.store(sums, s12, 96);
  v128.store(sums, s13, 112);
}

/** Two rows of W, or the last one twice, with all rows of x. */
function multiplyPair(column: i32, second: i32, sums: usize, widened: usize): void {
  const m = integer(M);
  const k = integer(K);
  const dense = weightKind() == KIND_F32;
  const step = (<usize>k) << 2;
  memory.fill(sums, 0, (<usize>((m + 3) >> 2)) << 7);
  for (let at = 0; at < k; at += STRETCH) {
    const count = min(STRETCH, k - at);
    let w0 = widened;
    let w1 = widened + STRETCH * 4;
    if (dense) {
      w0 = denseAddress(<u32>column * k + at);
      w1 = denseAddress(<u32>second * k + at);
    } else {
      widen(<u32>column * k + at, count, w0);
      widen(<u32>second * k + at, count, w1);
    }
    const from = pointer(X) + ((<usize>at) << 2);
    // Rows that x lacks are the last one again; their sums are not used.
    for (let row = 0; row < m; row += 4)
      multiply(
        w0,
        w1,
        from + <usize>row * step,
        from + <usize>min(row + 1, m - 1) * step,
        from + <usize>min(row + 2, m - 1) * step,
        from + <usize>min(row + 3, m - 1) * step,
        count,
        sums + ((<usize>(row >> 2)) << 7),
      );
  }
  for (let row = 0; row < m; row++) {
    const sum = sums + ((<usize>(row >> 2)) << 7) + ((<usize>(row & 3)) << 4);
    putProduct(row, column, sumLanes(v128.load(sum)));
    if (second != column) putProduct(row, second, sumLanes(v128.load(sum, 64)));
  }
}

/** A chunk is CHUNK_COLUMNS rows of W. Scratch: two stretches, and 128 bytes for four rows of x. */
export function fewRows(thread: i32): void {
  const n = integer(N);
  const chunkColumns = integer(CHUNK_COLUMNS);
  const widened = threadScratch(thread);
  const sums = widened + STRETCH * 8;
  for (let chunk = nextChunk(); chunk < chunkCount(); chunk = nextChunk()) {
    const end = min(n, (chunk + 1) * chunkColumns);
    for (let column = chunk * chunkColumns; column < end; column += 2)
      multiplyPair(column, min(column + 1, end - 1), sums, widened);
  }
}
