import { floats, integers } from '../../reference/storage.js';
import {
  type AttentionArgs,
  type AttentionBackwardArgs,
  type AttentionMask,
  checkAttention,
  checkAttentionBackward,
} from './op.js';

/** Calls `visit` for every query, with the keys [first, end) that it sees. */
function forEachQuery(
  mask: AttentionMask,
  visit: (row: number, head: number, query: number, first: number, end: number) => void,
): void {
  const lengths = integers(mask.keyLengths);
  const starts = mask.queryStart ? integers(mask.queryStart) : null;
  const firsts = mask.firstKeys ? integers(mask.firstKeys) : null;
  for (let row = 0; row < mask.batch; row++)
    for (let head = 0; head < mask.heads; head++)
      for (let query = 0; query < mask.queryLength; query++) {
        const position = (starts ? starts[row] : 0) + query;
        const first = firsts ? firsts[row * mask.queryLength + query] : 0;
        visit(row, head, query, first, Math.min(position + 1, lengths[row]));
      }
}

function dot(a: Float64Array, atA: number, b: Float64Array, atB: number, length: number): number {
  let sum = 0;
  for (let i = 0; i < length; i++) sum += a[atA + i] * b[atB + i];
  return sum;
}

export function attention(args: AttentionArgs): void {
  checkAttention(args);
  const { queryLength, keyLength, heads, headDim, scale } = args;
  const [q, k, v, out] = [args.q, args.k, args.v, args.out].map(floats);
  const logSumExp = floats(args.logSumExp);
  out.fill(0);
  forEachQuery(args, (row, head, query, first, end) => {
    const atQ = ((row * queryLength + query) * heads + head) * headDim;
    const atK = (key: number) => ((row * keyLength + key) * heads + head) * headDim;
    const atL = (row * heads + head) * queryLength + query;
    logSumExp[atL] = 0;
    if (end <= first) return;
    const scores = Float64Array.from(
      { length: end - first },
      (_, j) => scale * dot(q, atQ, k, atK(first + j), headDim),
    );
    const largest = scores.reduce((a, b) => Math.max(a, b));
    const sum = scores.reduce((total, score) => total + Math.exp(score - largest), 0);
    logSumExp[atL] = largest + Math.log(sum);
    for (let key = first; key < end; key++) {
      const probability = Math.exp(scores[key - first] - logSumExp[atL]);
      for (let d = 0; d < headDim; d++) out[atQ + d] += probability * v[atK(key) + d];
    }
  });
}

export function attentionBackward(args: AttentionBackwardArgs): void {
  checkAttentionBackward(args);
  const { queryLength, keyLength, heads, headDim, scale } = args;
  const [dOut, q, k, v, out] = [args.dOut, args.q, args.k, args.v, args.out].map(floats);
  const [dQ, dK, dV] = [args.dQ, args.dK, args.dV].map(floats);
  const [logSumExp, delta] = [floats(args.logSumExp), floats(args.delta)];
  for (const gradient of [dQ, dK, dV]) gradient.fill(0);
  forEachQuery(args, (row, head, query, first, end) => {
    const atQ = ((row * queryLength + query) * heads + head) * headDim;
    const atL = (row * heads + head) * queryLength + query;
    delta[atL] = dot(dOut, atQ, out, atQ, headDim);
    for (let key = first; key < end; key++) {
      const atK = ((row * keyLength + key) * heads + head) * headDim;
      const probability = Math.exp(scale * dot(q, atQ, k, atK, headDim) - logSumExp[atL]);
      const dScore = probability * (dot(dOut, atQ, v, atK, headDim) - delta[atL]) * scale;
      for (let d = 0; d < headDim; d++) {
        dQ[atQ + d] += dScore * k[atK + d];
        dK[atK + d] += dScore * q[atQ + d];
        dV[atK + d] += probability * dOut[atQ + d];
      }
    }
  });
}
