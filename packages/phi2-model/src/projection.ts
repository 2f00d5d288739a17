import type { Tensor } from '@qlorajs/compute';
import {
  type DoraArgs,
  doraBackward,
  doraCombine,
  doraForward,
  isDora,
  type LoraAdapter,
  type LoraDropout,
  type LoraLinear,
  loraBackward,
  loraForward,
  loraHidden,
} from '@qlorajs/lora';
import { type Pass, rowsOf, someRows } from './pass.js';
import { BLOCK_LINEARS, type BlockLinear } from './tensors.js';

/** Streams of the dropout generator a layer: one for each linear's adapter, two for the residuals. */
const STREAMS_PER_LAYER = 16;

/** The stream that a layer's linear draws its adapter's mask from. */
export function adapterStream(layer: number, linear: BlockLinear): number {
  return layer * STREAMS_PER_LAYER + BLOCK_LINEARS.indexOf(linear);
}

/** The stream of the dropout on the attention's (0) or the MLP's (1) output. */
export function residualStream(layer: number, branch: 0 | 1): number {
  return layer * STREAMS_PER_LAYER + BLOCK_LINEARS.length + branch;
}

/** The index of a tensor's first element in the masks: its rows are the pass's tokens. */
export function firstElement(pass: Pass, x: Tensor): number {
  return (pass.firstToken * x.size) / rowsOf(pass);
}

function adapterDropout(
  pass: Pass,
  layer: number,
  linear: BlockLinear,
  x: Tensor,
): LoraDropout | null {
  const probability = pass.adapter?.config.loraDropout ?? 0;
  if (pass.dropoutSeed === null || probability === 0) return null;
  const stream = adapterStream(layer, linear);
  return { probability, seed: pass.dropoutSeed, stream, first: firstElement(pass, x) };
}

/** What an adapter has for a linear layer. */
export function loraOf(adapter: LoraAdapter | null, layer: number, linear: BlockLinear) {
  return adapter?.layers.get(`model.layers.${layer}.${linear}`);
}

/** What forward and backward of a DoRA layer share. */
function doraArgs(
  pass: Pass,
  layer: number,
  linear: BlockLinear,
  lora: LoraLinear,
  { x, saved }: { x: Tensor; saved: string },
): DoraArgs {
  const { workspace, weights, doraNorms } = pass;
  const { weight } = weights.blocks[layer].linears[linear];
  const rows = rowsOf(pass);
  return {
    weight,
    inverseNorms: doraNorms!.of(lora.name),
    x,
    hidden: workspace.get(`${saved}.${linear}.hidden`, [rows, lora.rank]),
    combined: workspace.get(`${saved}.${linear}.combined`, [rows, weight.shape[0]]),
    dropout: adapterDropout(pass, layer, linear, x),
    scratch: (name, shape) => workspace.get(`dora.${name}`, shape),
  };
}

/**
 * out (+)= x W^T + bias + scaling * dropout(x) A^T B^T, with the adapter of each run of rows.
 * @param saved prefix of the buffer that keeps the adapter's hidden rows for the backward
 */
export function project(
  pass: Pass,
  layer: number,
  linear: BlockLinear,
  args: { x: Tensor; out: Tensor; accumulate: boolean; saved: string },
): void {
  const { backend, workspace, weights } = pass;
  const { x, out, accumulate } = args;
  const frozen = weights.blocks[layer].linears[linear];
  const whole = loraOf(pass.adapter, layer, linear);
  if (whole && isDora(whole)) {
    const shared = doraArgs(pass, layer, linear, whole, args);
    doraForward(backend, whole, { ...shared, bias: frozen.bias, out, accumulate });
    return;
  }
  backend.ops.linear({ x, ...frozen, out, accumulate });
  const dropout = adapterDropout(pass, layer, linear, x);
  for (const { adapter, start, count } of pass.runs) {
    const lora = loraOf(adapter, layer, linear);
    if (!lora) continue;
    loraForward(backend, lora, {
      x: someRows(pass, x, start, count),
      out: someRows(pass, out, start, count),
      hidden: workspace.get(`${args.saved}.${linear}.hidden`, [count, lora.rank]),
      dropped: dropout ? workspace.get('lora.dropped', [x.size]) : null,
      dropout,
    });
  }
}

/** Whether the adapter has this linear. */
export function isAdapted(pass: Pass, layer: number, linear: BlockLinear): boolean {
  return loraOf(pass.adapter, layer, linear) !== undefined;
}

/** The part of {@link project} that the backward reads: the adapter's hidden rows. */
export function projectHidden(
  pass: Pass,
  layer: number,
  linear: BlockLinear,
  args: { x: Tensor; saved: string },
): void {
  const lora = loraOf(pass.adapter, layer, linear);
  if (!lora) return;
  if (isDora(lora)) {
    doraCombine(pass.backend, lora, doraArgs(pass, layer, linear, lora, args));
    return;
  }
  const dropout = adapterDropout(pass, layer, linear, args.x);
  loraHidden(pass.backend, lora, {
    x: args.x,
    hidden: pass.workspace.get(`${args.saved}.${linear}.hidden`, [rowsOf(pass), lora.rank]),
    dropped: dropout ? pass.workspace.get('lora.dropped', [args.x.size]) : null,
    dropout,
  });
}

/** dX (+)= dOut W, and the adapter's part of it; its gradients accumulate in the adapter. */
export function projectBackward(
  pass: Pass,
  layer: number,
  linear: BlockLinear,
  args: { dOut: Tensor; x: Tensor; dX: Tensor; accumulate: boolean; saved: string },
): void {
  const { backend, workspace, weights } = pass;
  const { dOut, x, dX, accumulate } = args;
  const { weight } = weights.blocks[layer].linears[linear];
  const lora = loraOf(pass.adapter, layer, linear);
  if (lora && isDora(lora)) {
    const shared = doraArgs(pass, layer, linear, lora, args);
    doraBackward(backend, lora, { ...shared, dOut, dX, accumulate });
    return;
  }
  backend.ops.linearBackward({ dOut, weight, dX, accumulate });
  if (!lora) return;
  const dropout = adapterDropout(pass, layer, linear, x);
  loraBackward(backend, lora, {
    dOut,
    x,
    hidden: workspace.get(`${args.saved}.${linear}.hidden`, [rowsOf(pass), lora.rank]),
    dHidden: workspace.get('lora.dHidden', [rowsOf(pass), lora.rank]),
    dropped: dropout ? workspace.get('lora.dropped', [x.size]) : null,
    dX,
    dropout,
  });
}
