import { expectTensor, type Tensor } from '../../tensor.js';

/**
 * Which keys a query sees. Query i of row b stands at position p = queryStart[b] + i and sees the
 * keys j with firstKeys[b, i] <= j <= p and j < keyLengths[b]. A query that sees none gives zeros.
 */
export interface AttentionMask {
  readonly batch: number;
  /** T: queries a row. */
  readonly queryLength: number;
  /** S: rows of k and v a batch row (the capacity of a cache). */
  readonly keyLength: number;
  readonly heads: number;
  readonly headDim: number;
  /** Multiplies the scores: 1 / sqrt(headDim). */
  readonly scale: number;
  /** i32 `[B]`: keys that are real. */
  readonly keyLengths: Tensor;
  /** i32 `[B]`; null: 0 everywhere. */
  readonly queryStart: Tensor | null;
  /** i32 `[B, T]`: where the query's own document begins (packing); null: 0 everywhere. */
  readonly firstKeys: Tensor | null;
}

/** out = softmax(scale * q k^T + mask) v for every head; the probabilities are never stored whole. */
export interface AttentionArgs extends AttentionMask {
  /** f32 `[B, T, heads * headDim]` */
  readonly q: Tensor;
  /** f32 `[B, S, heads * headDim]` */
  readonly k: Tensor;
  /** f32 `[B, S, heads * headDim]` */
  readonly v: Tensor;
  /** f32 `[B, T, heads * headDim]` */
  readonly out: Tensor;
  /** f32 `[B, heads, T]`: log of the sum of exp of the scores, for the backward. */
  readonly logSumExp: Tensor;
}

/**
 * FlashAttention's backward (https://arxiv.org/abs/2205.14135): P is recomputed from `logSumExp`;
 * D = rowsum(dOut * out), dS = P * (dOut v^T - D) * scale, dQ = dS k, dK = dS^T q, dV = P^T dOut.
 * Training only: queryLength = keyLength and queryStart = null.
 */
export interface AttentionBackwardArgs extends AttentionMask {
  readonly dOut: Tensor;
  readonly q: Tensor;
  readonly k: Tensor;
  readonly v: Tensor;
  readonly out: Tensor;
  readonly logSumExp: Tensor;
  /** f32 `[B, heads, T]`: scratch for D. */
  readonly delta: Tensor;
  readonly dQ: Tensor;
  readonly dK: Tensor;
  readonly dV: Tensor;
}

function checkMask(op: string, mask: AttentionMask): void {
  expectTensor(op, 'keyLengths', mask.keyLengths, 'i32', mask.batch);
  if (mask.queryStart) expectTensor(op, 'queryStart', mask.queryStart, 'i32', mask.batch);
  if (mask.firstKeys)
    expectTensor(op, 'firstKeys', mask.firstKeys, 'i32', mask.batch * mask.queryLength);
}

export function checkAttention(args: AttentionArgs): void {
  const width = args.heads * args.headDim;
  const queries = args.batch * args.queryLength;
  const keys = args.batch * args.keyLength;
  checkMask('attention', args);
  expectTensor('attention', 'q', args.q, 'f32', queries * width);
  expectTensor('attention', 'k', args.k, 'f32', keys * width);
  expectTensor('attention', 'v', args.v, 'f32', keys * width);
  expectTensor('attention', 'out', args.out, 'f32', queries * width);
  expectTensor('attention', 'logSumExp', args.logSumExp, 'f32', queries * args.heads);
}

export function checkAttentionBackward(args: AttentionBackwardArgs): void {
  const width = args.heads * args.headDim;
  const queries = args.batch * args.queryLength;
  const keys = args.batch * args.keyLength;
  checkMask('attentionBackward', args);
  for (const name of ['dOut', 'q', 'out', 'dQ'] as const)
    expectTensor('attentionBackward', name, args[name], 'f32', queries * width);
  for (const name of ['k', 'v', 'dK', 'dV'] as const)
    expectTensor('attentionBackward', name, args[name], 'f32', keys * width);
  for (const name of ['logSumExp', 'delta'] as const)
    expectTensor('attentionBackward', name, args[name], 'f32', queries * args.heads);
}
