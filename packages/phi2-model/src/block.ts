import type { Tensor } from '@qlorajs/compute';
import { attend } from './cached-attention.js';
import { type Pass, rowsOf } from './pass.js';
import {
  firstElement,
  isAdapted,
  project,
  projectAll,
  projectHidden,
  residualStream,
  type Saved,
} from './projection.js';
import { BLOCK_LINEARS } from './tensors.js';

/**
 * What a block's forward leaves for its backward. With gradient checkpointing every layer shares one
 * set (`saved` is the same for all) and the forward is run again before the backward.
 */
export interface BlockActivations {
  readonly saved: Saved;
  /** `[n, C]`: the normalized input, which feeds attention and MLP alike. */
  readonly normed: Tensor;
  readonly mean: Tensor;
  readonly rstd: Tensor;
  /** `[n, C]`, q and k after the rotary embedding. */
  readonly q: Tensor;
  readonly k: Tensor;
  readonly v: Tensor;
  /** `[n, C]` */
  readonly attended: Tensor;
  /** `[B, H, T]` */
  readonly logSumExp: Tensor;
  /** `[n, I]`: fc1's output, before and after gelu_new. */
  readonly inner: Tensor;
  readonly activated: Tensor;
}

/** One set of buffers for all blocks. */
const ONE_BLOCK: Saved = { name: 'block', hidden: 'block' };

/** The buffers of one block's activations. */
export function blockActivations(pass: Pass, saved: Saved = ONE_BLOCK): BlockActivations {
  const { workspace, config, batch, length } = pass;
  const rows = rowsOf(pass);
  const get = (name: string, shape: readonly number[]) =>
    workspace.get(`${saved.name}.${name}`, shape);
  const wide = (name: string) => get(name, [rows, config.hiddenSize]);
  const [q, k, v] = queryKeyValue(pass, `${saved.name}.qkv`);
  return {
    saved,
    normed: wide('normed'),
    mean: get('mean', [rows]),
    rstd: get('rstd', [rows]),
    ...{ q, k, v },
    attended: wide('attended'),
    logSumExp: get('logSumExp', [batch, config.heads, length]),
    inner: get('inner', [rows, config.intermediateSize]),
    activated: get('activated', [rows, config.intermediateSize]),
  };
}

/** The layers that read the normalized input for attention. */
export const QUERY_KEY_VALUE = [
  'self_attn.q_proj',
  'self_attn.k_proj',
  'self_attn.v_proj',
] as const;

/** Three tensors `[n, C]` that are parts of one buffer: what engines do to all of them is one command. */
export function queryKeyValue(pass: Pass, name: string): Tensor[] {
  const rows = rowsOf(pass);
  const { hiddenSize } = pass.config;
  const whole = pass.workspace.get(name, [QUERY_KEY_VALUE.length, rows, hiddenSize]);
  return QUERY_KEY_VALUE.map((_, i) =>
    pass.backend.view(whole, i * rows * hiddenSize, [rows, hiddenSize]),
  );
}

/** Names the weights of a block: its products come next. */
export function expectWeights({ backend, weights }: Pass, layer: number): void {
  const { linears } = weights.blocks[layer];
  backend.expect?.(BLOCK_LINEARS.map((linear) => linears[linear].weight));
}

/** Turns q and k by their positions, or back. */
export function rotate(pass: Pass, x: Tensor, inverse: boolean): void {
  const { heads, headDim, rotaryDim } = pass.config;
  const { cos, sin } = pass.rotary;
  const { positions } = pass;
  pass.backend.ops.rotary({ x, positions, cos, sin, heads, headDim, rotaryDim, inverse });
}

/**
 * One Phi block: attention and MLP side by side on one layer norm.
 * ```
 * x   = LayerNorm(h)
 * q,k = rotary(x Wq^T + bq), rotary(x Wk^T + bk);  v = x Wv^T + bv
 * out = h + drop(attention(q, k, v) Wd^T + bd) + drop(gelu_new(x W1^T + b1) W2^T + b2)
 * ```
 * Every projection carries its adapter where the adapter targets it.
 * @param h f32 `[n, C]`, read
 * @param out f32 `[n, C]`, written; not h. Null where the block is run again for its backward, which
 * needs the activations alone: the last products of both branches are left out.
 */
export function blockForward(
  pass: Pass,
  layer: number,
  h: Tensor,
  out: Tensor | null,
  activations: BlockActivations,
): void {
  const { backend, config, weights } = pass;
  const { ops } = backend;
  const { saved, normed, mean, rstd, q, k, v, attended, logSumExp, inner, activated } = activations;
  const { norm } = weights.blocks[layer];
  expectWeights(pass, layer);
  ops.layerNorm({ x: h, ...norm, epsilon: config.layerNormEpsilon, out: normed, mean, rstd });

  // A forward that is run again finds adapters' hidden rows where every block keeps its own.
  const made = out === null && saved.hidden !== saved.name;
  const from = { x: normed, accumulate: false, saved, made };
  projectAll(pass, layer, QUERY_KEY_VALUE, { ...from, outs: [q, k, v] });
  rotate(pass, q, false);
  rotate(pass, k, false);
  attend(pass, layer, { q, k, v, out: attended, logSumExp });

  project(pass, layer, 'mlp.fc1', { ...from, out: inner });
  if (out === null) {
    if (!made) projectHidden(pass, layer, 'self_attn.dense', { x: attended, saved });
    if (isAdapted(pass, layer, 'mlp.fc2')) {
      ops.gelu({ x: inner, out: activated });
      if (!made) projectHidden(pass, layer, 'mlp.fc2', { x: activated, saved });
    }
    return;
  }
  ops.axpby({ x: h, out, alpha: 1, beta: 0 });
  addBranch(pass, layer, 'self_attn.dense', attended, out, saved);
  ops.gelu({ x: inner, out: activated }); // just before the product that reads it
  addBranch(pass, layer, 'mlp.fc2', activated, out, saved);
}

/** out += drop(x W^T + bias), without a buffer in between when there is no dropout. */
function addBranch(
  pass: Pass,
  layer: number,
  linear: 'self_attn.dense' | 'mlp.fc2',
  x: Tensor,
  out: Tensor,
  saved: Saved,
): void {
  const probability = pass.config.residualDropout;
  if (pass.dropoutSeed === null || probability === 0) {
    project(pass, layer, linear, { x, out, accumulate: true, saved });
    return;
  }
  const branch = pass.workspace.get('branch', [out.size]);
  project(pass, layer, linear, { x, out: branch, accumulate: false, saved });
  pass.backend.ops.dropout({
    x: branch,
    out,
    probability,
    seed: pass.dropoutSeed,
    first: firstElement(pass, out),
    stream: residualStream(layer, linear === 'mlp.fc2' ? 1 : 0),
    accumulate: true,
  });
}
