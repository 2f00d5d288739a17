import type { AttentionArgs } from '../ops/attention/op.js';
import type { LinearArgs, LinearBackwardArgs } from '../ops/linear/op.js';
import type { MatmulArgs } from '../ops/matmul/op.js';
import type { Ops } from '../ops.js';

/** Multiply-adds of one call; 0 for operations that only pass over their elements. */
export function workOf(name: keyof Ops, args: unknown): number {
  if (name === 'matmul') {
    const { m, n, k } = args as MatmulArgs;
    return m * n * k;
  }
  if (name === 'linear') {
    const { x, weight } = args as LinearArgs;
    return x.size * weight.shape[0];
  }
  if (name === 'linearBackward') {
    const { dOut, weight } = args as LinearBackwardArgs;
    return dOut.size * weight.shape[1];
  }
  if (name === 'attention' || name === 'attentionBackward') {
    const { batch, heads, headDim, queryLength, keyLength } = args as AttentionArgs;
    // Half of the pairs are masked; two products forward, five backward.
    const pairs = (batch * heads * queryLength * keyLength) / 2;
    return pairs * headDim * (name === 'attention' ? 2 : 5);
  }
  return 0;
}
