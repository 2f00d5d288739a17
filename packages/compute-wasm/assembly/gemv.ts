// out [M, N] = x W^T (+ bias) for a few rows of x: every row of W is widened once and multiplied at
// once, with nothing packed. Used for generating, where a weight is read for one token.
import { chunkCount, integer, nextChunk, pointer, threadScratch } from './control';
import { blockScale, blockSize, quad, WEIGHT } from './nf4';
import { load4, madd, sumLanes } from './simd';
import { denseAddress, KIND_F32, KIND_NF4, weightKind, widen } from './weight';

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

function dot(a: usize, b: usize, count: i32): v128 {
  let s0 = f32x4.splat(0);
  let s1 = f32x4.splat(0);
  let s2 = f32x4.splat(0);
  let s3 = f32x4.splat(0);
  let i = 0;
  for (; i + 16 <= count; i += 16) {
    s0 = madd(v128.load(a), v128.load(b), s0);
    s1 = madd(v128.load(a, 16), v128.load(b, 16), s1);
    s2 = madd(v128.load(a, 32), v128.load(b, 32), s2);
    s3 = madd(v128.load(a, 48), v128.load(b, 48), s3);
    a += 64;
    b += 64;
  }
  for (; i < count; i += 4) {
    s0 = madd(load4(a, count - i), load4(b, count - i), s0);
    a += 16;
    b += 16;
  }
  return f32x4.add(f32x4.add(s0, s1), f32x4.add(s2, s3));
}

/** One row of x with one row of NF4 codes that starts and ends with a whole block of 16 k elements. */
function dotNf4(x: usize, first: u32, k: i32): f32 {
  const size = blockSize();
  let codes = pointer(WEIGHT + 1) + (first >> 1);
  let total = f32x4.splat(0);
  let block = first / <u32>size;
  for (let i = 0; i < k; i += size) {
    let s0 = f32x4.splat(0);
    let s1 = f32x4.splat(0);
    let s2 = f32x4.splat(0);
    let s3 = f32x4.splat(0);
    for (const end = codes + <usize>(size >> 1); codes < end; codes += 8) {
      const low = load<u32>(codes);
      const high = load<u32>(codes, 4);
      s0 = madd(quad(low), v128.load(x), s0);
      s1 = madd(quad(low >> 16), v128.load(x, 16), s1);
      s2 = madd(quad(high), v128.load(x, 32), s2);
      s3 = madd(quad(high >> 16), v128.load(x, 48), s3);
      x += 64;
    }
    const sum = f32x4.add(f32x4.add(s0, s1), f32x4.add(s2, s3));
    total = madd(sum, f32x4.splat(blockScale(block++)), total);
  }
  return sumLanes(total);
}

function put(row: i32, column: i32, sum: f32): void {
  const out = pointer(OUT) + ((<usize>(row * integer(N) + column)) << 2);
  const bias = pointer(BIAS);
  let value = sum;
  if (bias) value += load<f32>(bias + ((<usize>column) << 2));
  if (integer(ACCUMULATE)) value += load<f32>(out);
  store<f32>(out, value);
}

/** A row of W, any kind, with all rows of x; `sums` has 16 bytes a row. */
function multiplyRow(column: i32, sums: usize, widened: usize): void {
  const m = integer(M);
  const k = integer(K);
  const x = pointer(X);
  for (let row = 0; row < m; row++) v128.store(sums + ((<usize>row) << 4), f32x4.splat(0));
  for (let at = 0; at < k; at += STRETCH) {
    const count = min(STRETCH, k - at);
    const first = <u32>column * k + at;
    const values = weightKind() == KIND_F32 ? denseAddress(first) : widened;
    if (values == widened) widen(first, count, widened);
    for (let row = 0; row < m; row++) {
      const sum = sums + ((<usize>row) << 4);
      const from = x + ((<usize>(row * k + at)) << 2);
      v128.store(sum, f32x4.add(v128.load(sum), dot(from, values, count)));
    }
  }
  for (let row = 0; row < m; row++)
    put(row, column, sumLanes(v128.load(sums + ((<usize>row) << 4))));
}

/** A chunk is CHUNK_COLUMNS rows of W. */
export function gemv(thread: i32): void {
  const n = integer(N);
  const k = integer(K);
  const chunkColumns = integer(CHUNK_COLUMNS);
  const widened = threadScratch(thread);
  const sums = widened + STRETCH * 4;
  const single =
    integer(M) == 1 && weightKind() == KIND_NF4 && k % blockSize() == 0 && blockSize() % 16 == 0;
  for (let chunk = nextChunk(); chunk < chunkCount(); chunk = nextChunk()) {
    const end = min(n, (chunk + 1) * chunkColumns);
    for (let column = chunk * chunkColumns; column < end; column++) {
      if (single) put(0, column, dotNf4(pointer(X), <u32>column * k, k));
      else multiplyRow(column, sums, widened);
    }
  }
}
