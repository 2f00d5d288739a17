import {
  type AttentionMask,
  checkAttention,
  checkAttentionBackward,
  type Ops,
} from '@qlorajs/compute';
import type { Engine, Operand } from '../engine.js';
import {
  D_KEYS,
  D_QUERIES,
  D_SCORES,
  DELTA,
  LOG_SUM_EXP,
  PROBABILITIES,
  SCORES,
  WEIGHTED_VALUES,
} from './attention-kernels.js';
import { expectIndices } from './indices.js';

/** Sizes that every kernel gets. */
function sizesOf({ heads, headDim, queryLength, keyLength }: AttentionMask): number[] {
  return [heads, headDim, queryLength, keyLength];
}

/** The mask's tensors; a missing one is a zero, and its factor 0 keeps it from being indexed. */
function maskOf(mask: AttentionMask): { operands: Operand[]; numbers: number[] } {
  const { keyLengths, queryStart, firstKeys } = mask;
  return {
    operands: [keyLengths, queryStart, firstKeys],
    numbers: [queryStart ? 1 : 0, firstKeys ? 1 : 0],
  };
}

/** Cells of all scores, `[B, heads, T, S]`: unlike other engines, this one stores them while it needs them. */
const scoreCount = ({ batch, heads, queryLength, keyLength }: AttentionMask) =>
  batch * heads * queryLength * keyLength;

export function attentionOps(engine: Engine): Pick<Ops, 'attention' | 'attentionBackward'> {
  const scoresOf = (mask: AttentionMask, q: Operand, k: Operand) => {
    const { operands, numbers } = maskOf(mask);
    expectIndices(engine, 'attention', 'keyLengths', mask.keyLengths, 0, mask.keyLength + 1);
    const all = [...sizesOf(mask), mask.scale, ...numbers];
    return engine.run(SCORES, [q, k, ...operands], all, scoreCount(mask));
  };
  return {
    attention(args) {
      checkAttention(args);
      const { q, k, v, out, logSumExp, keyLength } = args;
      const scores = scoresOf(args, q, k);
      engine.store(logSumExp, engine.run(LOG_SUM_EXP, [scores], [keyLength], logSumExp.size));
      const numbers = [keyLength];
      const p = engine.run(PROBABILITIES, [scores, logSumExp], numbers, scoreCount(args));
      engine.drop(scores);
      engine.store(out, engine.run(WEIGHTED_VALUES, [p, v], sizesOf(args), out.size));
      engine.drop(p);
    },
    attentionBackward(args) {
      checkAttentionBackward(args);
      const { dOut, q, k, v, out, logSumExp, delta, dQ, dK, dV, keyLength, scale } = args;
      const sizes = sizesOf(args);
      const count = scoreCount(args);
      const scores = scoresOf(args, q, k);
      const p = engine.run(PROBABILITIES, [scores, logSumExp], [keyLength], count);
      engine.drop(scores);
      engine.store(delta, engine.run(DELTA, [dOut, out], sizes, delta.size));
      const dS = engine.run(D_SCORES, [p, dOut, v, delta], [...sizes, scale], count);
      const dQueries = engine.run(D_QUERIES, [dS, k], sizes, dQ.size);
      const dKeys = engine.run(D_KEYS, [dS, q], sizes, dK.size);
      const dValues = engine.run(D_KEYS, [p, dOut], sizes, dV.size);
      engine.drop(p, dS);
      engine.store(dQ, dQueries);
      engine.store(dK, dKeys);
      engine.store(dV, dValues);
    },
  };
}
