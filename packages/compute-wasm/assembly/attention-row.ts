// Attention for a few queries on a long cache: one query at a time, nothing packed.
import {
  endKey,
  firstKey,
  HEAD_DIM,
  HEADS,
  headAddress,
  headStep,
  K,
  KEY_LENGTH,
  LOG_SUM_EXP,
  OUT,
  Q,
  QUERY_LENGTH,
  SCALE,
  statisticAddress,
  V,
} from './attention-arguments';
import { chunkCount, float, integer, nextChunk, threadScratch } from './control';
import { load4, madd, store4, sumLanes } from './simd';
import { exp4, log4 } from './transcendental';

function dot(a: usize, b: usize, dims: i32): f32 {
  let s0 = f32x4.splat(0);
  let s1 = f32x4.splat(0);
  let d = 0;
  for (; d + 8 <= dims; d += 8) {
    s0 = madd(v128.load(a), v128.load(b), s0);
    s1 = madd(v128.load(a, 16), v128.load(b, 16), s1);
    a += 32;
    b += 32;
  }
  for (; d < dims; d += 4) {
    s0 = madd(load4(a, dims - d), load4(b, dims - d), s0);
    a += 16;
    b += 16;
  }
  return sumLanes(f32x4.add(s0, s1));
}

/** Sixteen dimensions of sum p v, times `inverse`. */
function mix16(scores: usize, v: usize, step: usize, keys: i32, inverse: v128, out: usize): void {
  let s0 = f32x4.splat(0);
  let s1 = f32x4.splat(0);
  let s2 = f32x4.splat(0);
  let s3 = f32x4.splat(0);
  for (const end = scores + ((<usize>keys) << 2); scores < end; scores += 4) {
    const p = v128.load_splat<f32>(scores);
    s0 = madd(p, v128.load(v), s0);
    s1 = madd(p, v128.load(v, 16), s1);
    s2 = madd(p, v128.load(v, 32), s2);
    s3 = madd(p, v128.load(v, 48), s3);
    v += step;
  }
  v128.store(out, f32x4.mul(s0, inverse));
  v128.store(out, f32x4.mul(s1, inverse), 16);
  v128.store(out, f32x4.mul(s2, inverse), 32);
  v128.store(out, f32x4.mul(s3, inverse), 48);
}

/** Up to four dimensions. */
function mix4(
  scores: usize,
  v: usize,
  step: usize,
  keys: i32,
  inverse: v128,
  out: usize,
  count: i32,
): void {
  let sum = f32x4.splat(0);
  for (const end = scores + ((<usize>keys) << 2); scores < end; scores += 4) {
    sum = madd(v128.load_splat<f32>(scores), load4(v, count), sum);
    v += step;
  }
  store4(out, count, f32x4.mul(sum, inverse));
}

/** exp(score - maximum) in place; gives the sum. */
function exponentials(scores: usize, keys: i32, maximum: f32): f32 {
  const top = f32x4.splat(maximum);
  let sum = f32x4.splat(0);
  let key = 0;
  for (; key + 4 <= keys; key += 4) {
    const at = scores + ((<usize>key) << 2);
    const p = exp4(f32x4.sub(v128.load(at), top));
    v128.store(at, p);
    sum = f32x4.add(sum, p);
  }
  let total = sumLanes(sum);
  for (; key < keys; key++) {
    const at = scores + ((<usize>key) << 2);
    const p = f32x4.extract_lane(exp4(f32x4.splat(load<f32>(at) - maximum)), 0);
    store<f32>(at, p);
    total += p;
  }
  return total;
}

/** A chunk is one query of one head of one row; the scratch holds its scores. */
export function attentionRow(thread: i32): void {
  const queryLength = integer(QUERY_LENGTH);
  const heads = integer(HEADS);
  const dims = integer(HEAD_DIM);
  const step = headStep();
  const scores = threadScratch(thread);
  for (let chunk = nextChunk(); chunk < chunkCount(); chunk = nextChunk()) {
    const head = chunk % heads;
    const query = (chunk / heads) % queryLength;
    const row = chunk / (heads * queryLength);
    const out = headAddress(OUT, queryLength, row, query, head);
    const logSumExp = statisticAddress(LOG_SUM_EXP, row, head, query);
    const first = firstKey(row, query);
    const keys = endKey(row, query) - first;
    if (keys <= 0) {
      memory.fill(out, 0, (<usize>dims) << 2);
      store<f32>(logSumExp, 0);
      continue;
    }
    const q = headAddress(Q, queryLength, row, query, head);
    let k = headAddress(K, integer(KEY_LENGTH), row, first, head);
    let maximum: f32 = -Infinity;
    for (let key = 0; key < keys; key++) {
      const score = dot(q, k, dims) * float(SCALE);
      store<f32>(scores + ((<usize>key) << 2), score);
      maximum = max(maximum, score);
      k += step;
    }
    const sum = exponentials(scores, keys, maximum);
    store<f32>(logSumExp, maximum + f32x4.extract_lane(log4(f32x4.splat(sum)), 0));
    const inverse = f32x4.splat(1 / sum);
    const v = headAddress(V, integer(KEY_LENGTH), row, first, head);
    let d = 0;
    for (; d + 16 <= dims; d += 16)
      mix16(scores, v + ((<usize>d) << 2), step, keys, inverse, out + ((<usize>d) << 2));
    for (; d < dims; d += 4)
      mix4(scores, v + ((<usize>d) << 2), step, keys, inverse, out + ((<usize>d) << 2), dims - d);
  }
}
