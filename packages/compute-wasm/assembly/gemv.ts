// out [1, N] = x W^T (+ bias) for one row of x: what generating a token needs. Each row of W is read
// once and multiplied while it is decoded. The sums run in another order than those of `gemm`.
import { chunkCount, integer, nextChunk, pointer, threadScratch } from './control';
import { putProduct } from './few-rows';
import { allNormal, widenHigh, widenLow } from './half';
import { blockScale, blockSize, quad } from './nf4';
import { load4, madd, sumLanes } from './simd';
import { denseAddress, KIND_F16, KIND_F32, KIND_NF4, weightKind, widen } from './weight';

const X: i32 = 0;
const K: i32 = 2;
const N: i32 = 5;
const CHUNK_COLUMNS: i32 = 10;

function dot(a: usize, b: usize, count: i32): f32 {
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
  return sumLanes(f32x4.add(f32x4.add(s0, s1), f32x4.add(s2, s3)));
}

/** A row of f16 of 16 k elements; the caller has scratch for 16 elements that are not all normal. */
function dotHalf(x: usize, first: u32, k: i32, widened: usize): f32 {
  let from = denseAddress(0) + ((<usize>first) << 1);
  let s0 = f32x4.splat(0);
  let s1 = f32x4.splat(0);
  let s2 = f32x4.splat(0);
  let s3 = f32x4.splat(0);
  for (let i = 0; i < k; i += 16) {
    const a = v128.load(from);
    const b = v128.load(from, 16);
    if (allNormal(a, b)) {
      s0 = madd(widenLow(a), v128.load(x), s0);
      s1 = madd(widenHigh(a), v128.load(x, 16), s1);
      s2 = madd(widenLow(b), v128.load(x, 32), s2);
      s3 = madd(widenHigh(b), v128.load(x, 48), s3);
    } else {
      widen(first + i, 16, widened);
      s0 = madd(v128.load(widened), v128.load(x), s0);
      s1 = madd(v128.load(widened, 16), v128.load(x, 16), s1);
      s2 = madd(v128.load(widened, 32), v128.load(x, 32), s2);
      s3 = madd(v128.load(widened, 48), v128.load(x, 48), s3);
    }
    from += 32;
    x += 64;
  }
  return sumLanes(f32x4.add(f32x4.add(s0, s1), f32x4.add(s2, s3)));
}

/** A row of NF4 that starts and ends with a whole block of 16 k elements. */
function dotNf4(x: usize, first: u32, k: i32): f32 {
  const size = blockSize();
  let codes = denseAddress(0) + (first >> 1);
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
      s0 = madd(quad(low, 0), v128.load(x), s0);
      s1 = madd(quad(low, 16), v128.load(x, 16), s1);
      s2 = madd(quad(high, 0), v128.load(x, 32), s2);
      s3 = madd(quad(high, 16), v128.load(x, 48), s3);
      x += 64;
    }
    const sum = f32x4.add(f32x4.add(s0, s1), f32x4.add(s2, s3));
    total = madd(sum, f32x4.splat(blockScale(block++)), total);
  }
  return sumLanes(total);
}

/** A chunk is CHUNK_COLUMNS rows of W. The scratch holds a row of W. */
export function gemv(thread: i32): void {
  const n = integer(N);
  const k = integer(K);
  const x = pointer(X);
  const kind = weightKind();
  const chunkColumns = integer(CHUNK_COLUMNS);
  const widened = threadScratch(thread);
  const wholeBlocks = kind == KIND_NF4 && k % blockSize() == 0 && blockSize() % 16 == 0;
  const wholeHalves = kind == KIND_F16 && k % 16 == 0;
  for (let chunk = nextChunk(); chunk < chunkCount(); chunk = nextChunk()) {
    const end = min(n, (chunk + 1) * chunkColumns);
    for (let column = chunk * chunkColumns; column < end; column++) {
      const first = <u32>column * k;
      let sum: f32;
      if (wholeBlocks) sum = dotNf4(x, first, k);
      else if (wholeHalves) sum = dotHalf(x, first, k, widened);
      else if (kind == KIND_F32) sum = dot(x, denseAddress(first), k);
      else {
        widen(first, k, widened);
        sum = dot(x, widened, k);
      }
      putProduct(0, column, sum);
    }
  }
}
