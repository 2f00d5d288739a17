import type { Tensor } from '@qlorajs/compute';
import {
  type BlockActivations,
  expectWeights,
  QUERY_KEY_VALUE,
  queryKeyValue,
  rotate,
} from './block.js';
import { attentionMask } from './cached-attention.js';
import { type Pass, rowsOf } from './pass.js';
import { firstElement, projectAllBackward, projectBackward, residualStream } from './projection.js';
import { blockNorm, normParametersBackward } from './saved-modules.js';

/** The gradient that enters a branch: dh itself, or dh under the mask that the forward drew. */
function branchGradient(pass: Pass, layer: number, branch: 0 | 1, dh: Tensor): Tensor {
  const probability = pass.config.residualDropout;
  if (pass.dropoutSeed === null || probability === 0) return dh;
  const out = pass.workspace.get('branch', [dh.size]);
  const stream = residualStream(layer, branch);
  const seed = pass.dropoutSeed;
  const mask = { probability, seed, stream, first: firstElement(pass, dh) };
  pass.backend.ops.dropout({ x: dh, out, ...mask, accumulate: false });
  return out;
}

/**
 * The backward of {@link blockForward}, by hand. With dh the gradient of the block's output:
 * ```
 * da = drop(dh) Wd
 * dg = drop(dh) W2;          df = dg * gelu_new'(f);      dx  = df W1
 * dq, dk, dv = attention'(da); dq, dk turned back
 * dx += dq Wq + dk Wk + dv Wv
 * dh += LayerNorm'(dx)                                     (the residual passes dh on as it is)
 * ```
 * @param h f32 `[n, C]`: the block's input
 * @param dh f32 `[n, C]`: on entry the gradient of the output, on return that of the input
 */
export function blockBackward(
  pass: Pass,
  layer: number,
  h: Tensor,
  dh: Tensor,
  activations: BlockActivations,
): void {
  const { backend, config, workspace, weights } = pass;
  const { ops } = backend;
  const { saved, normed, mean, rstd, q, k, v, attended, logSumExp, inner, activated } = activations;
  const rows = rowsOf(pass);
  const wide = (name: string) => workspace.get(name, [rows, config.hiddenSize]);
  const dNormed = wide('dNormed');
  expectWeights(pass, layer);

  const dOut = wide('dAttended');
  projectBackward(pass, layer, 'self_attn.dense', {
    dOut: branchGradient(pass, layer, 0, dh),
    x: attended,
    dX: dOut,
    accumulate: false,
    saved,
  });

  const dMlp = branchGradient(pass, layer, 1, dh);
  const dInner = workspace.get('dInner', [rows, config.intermediateSize]);
  projectBackward(pass, layer, 'mlp.fc2', {
    dOut: dMlp,
    x: activated,
    dX: dInner,
    accumulate: false,
    saved,
  });
  ops.geluBackward({ dOut: dInner, x: inner, dX: dInner });
  const into = { x: normed, dX: dNormed, saved };
  projectBackward(pass, layer, 'mlp.fc1', { ...into, dOut: dInner, accumulate: false });

  const [dQ, dK, dV] = queryKeyValue(pass, 'dQKV');
  const delta = workspace.get('delta', logSumExp.shape);
  const forward = { q, k, v, out: attended, logSumExp };
  ops.attentionBackward({ ...attentionMask(pass), ...forward, dOut, delta, dQ, dK, dV });
  rotate(pass, dQ, true);
  rotate(pass, dK, true);
  const gradients = { ...into, dOuts: [dQ, dK, dV], accumulate: true };
  projectAllBackward(pass, layer, QUERY_KEY_VALUE, gradients);

  normParametersBackward(pass, blockNorm(layer), { x: h, dOut: dNormed });
  const { weight } = weights.blocks[layer].norm;
  ops.layerNormBackward({ dOut: dNormed, x: h, weight, mean, rstd, dX: dh, accumulate: true });
}
