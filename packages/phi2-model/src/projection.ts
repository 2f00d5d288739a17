import type { Tensor } from '@qlorajs/compute';
import {
  type DoraArgs,
  doraBackward,
  doraCombine,
  doraForward,
  isDora,
  type LoraAdapter,
  type LoraDropout,
  type LoraForwardArgs,
  type LoraLinear,
  loraForward,
  loraGradients,
  loraHidden,
  loraHiddenOf,
  loraInputGradient,
  loraUpdate,
} from '@qlorajs/lora';
import { type AdapterRun, type Pass, rowsOf, someRows } from './pass.js';
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
  { x, saved }: { x: Tensor; saved: Saved },
): DoraArgs {
  const { workspace, weights, doraNorms } = pass;
  const { weight } = weights.blocks[layer].linears[linear];
  const rows = rowsOf(pass);
  return {
    weight,
    inverseNorms: doraNorms!.of(lora.name),
    x,
    hidden: workspace.get(`${saved.name}.${linear}.hidden`, [rows, lora.rank]),
    combined: workspace.get(`${saved.name}.${linear}.combined`, [rows, weight.shape[0]]),
    dropout: adapterDropout(pass, layer, linear, x),
    scratch: (name, shape) => workspace.get(`dora.${name}`, shape),
  };
}

/** Where a block's forward leaves what its backward reads. */
export interface Saved {
  /** Prefix of the buffers' names. */
  readonly name: string;
  /** Prefix of those of adapters' hidden rows. */
  readonly hidden: string;
}

/** The adapter's layer of a run of rows, with the buffers that its forward takes. */
interface AdaptedRun {
  readonly layer: LoraLinear;
  readonly args: LoraForwardArgs;
}

/** A buffer for several layers, whose parts lie one after the other; see {@link projectAll}. */
function sideBySide(pass: Pass, name: string, rows: number, widths: readonly number[]): Tensor[] {
  const total = widths.reduce((sum, width) => sum + width, 0);
  const whole = pass.workspace.get(name, [rows * total]);
  let used = 0;
  return widths.map((width) => {
    const part = pass.backend.view(whole, used, [rows, width]);
    used += rows * width;
    return part;
  });
}

const rankOf = (lora: LoraLinear | undefined) => lora?.rank ?? 0;

/** The adapters of some layers, run by run. */
function adaptedRuns(
  pass: Pass,
  layer: number,
  linears: readonly BlockLinear[],
  { x, outs, saved }: { x: Tensor; outs: readonly Tensor[]; saved: Saved },
): AdaptedRun[] {
  const hasLora = ({ adapter }: AdapterRun) =>
    linears.some((linear) => loraOf(adapter, layer, linear));
  if (!pass.runs.some(hasLora)) return [];
  const total = rowsOf(pass);
  const masks = linears.map((linear) => adapterDropout(pass, layer, linear, x));
  const dropped = masks.some(Boolean)
    ? sideBySide(
        pass,
        'lora.dropped',
        total,
        linears.map(() => x.size / total),
      )
    : [];
  return pass.runs.flatMap(({ adapter, start, count }) => {
    const loras = linears.map((linear) => loraOf(adapter, layer, linear));
    const name = `${saved.hidden}.${linears.join('+')}.hidden`;
    const hidden = sideBySide(pass, name, count, loras.map(rankOf));
    return loras.flatMap((lora, i) => {
      if (!lora) return [];
      const args = {
        x: someRows(pass, x, start, count),
        out: someRows(pass, outs[i], start, count),
        hidden: hidden[i],
        dropped: dropped[i] ?? null,
        dropout: masks[i],
      };
      return [{ layer: lora, args }];
    });
  });
}

/** The layers without DoRA, and those with it. */
function split(pass: Pass, layer: number, linears: readonly BlockLinear[]) {
  const withMagnitude = linears.flatMap((linear) => {
    const lora = loraOf(pass.adapter, layer, linear);
    return lora && isDora(lora) ? [{ linear, lora }] : [];
  });
  const plain = linears.filter((linear) => !withMagnitude.some((each) => each.linear === linear));
  return { plain, withMagnitude };
}

/** out (+)= x W^T + bias + scaling * dropout(x) A^T B^T, with the adapter of each run of rows. */
export function project(
  pass: Pass,
  layer: number,
  linear: BlockLinear,
  args: { x: Tensor; out: Tensor; accumulate: boolean; saved: Saved },
): void {
  projectAll(pass, layer, [linear], { ...args, outs: [args.out] });
}

/**
 * {@link project} of layers that share x. What is the same for all of them follows each other, and their
 * buffers are parts of one, so that an engine can do it at one time.
 * @param outs one a layer, parts of one buffer
 * @param args.saved where the backward, which must name the same layers together, finds hidden rows
 * @param args.made whether those are there already
 */
export function projectAll(
  pass: Pass,
  layer: number,
  linears: readonly BlockLinear[],
  args: {
    x: Tensor;
    outs: readonly Tensor[];
    accumulate: boolean;
    saved: Saved;
    made?: boolean;
  },
): void {
  const { backend, weights } = pass;
  const { x, outs, accumulate } = args;
  const outOf = (linear: BlockLinear) => outs[linears.indexOf(linear)];
  const { plain, withMagnitude } = split(pass, layer, linears);
  for (const { linear, lora } of withMagnitude) {
    const shared = doraArgs(pass, layer, linear, lora, args);
    const { bias } = weights.blocks[layer].linears[linear];
    doraForward(backend, lora, { ...shared, bias, out: outOf(linear), accumulate });
  }
  const adapted = adaptedRuns(pass, layer, plain, { ...args, outs: plain.map(outOf) });
  // A run's hidden rows share a buffer with the next run's: with several runs, one after the other.
  const together = pass.runs.length === 1;
  if (together && !args.made) loraHiddenOf(backend, adapted);
  for (const linear of plain) {
    const frozen = weights.blocks[layer].linears[linear];
    backend.ops.linear({ x, ...frozen, out: outOf(linear), accumulate });
  }
  for (const { layer: lora, args } of adapted)
    if (together) loraUpdate(backend, lora, args);
    else loraForward(backend, lora, args);
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
  args: { x: Tensor; saved: Saved },
): void {
  const lora = loraOf(pass.adapter, layer, linear);
  if (!lora) return;
  if (isDora(lora)) {
    doraCombine(pass.backend, lora, doraArgs(pass, layer, linear, lora, args));
    return;
  }
  // There is no output: what stands for it is not touched.
  const [{ args: own }] = adaptedRuns(pass, layer, [linear], { ...args, outs: [args.x] });
  loraHidden(pass.backend, lora, own);
}

/** What {@link projectBackward} is given for one layer. */
interface BackwardArgs {
  readonly dOut: Tensor;
  readonly x: Tensor;
  readonly dX: Tensor;
  readonly accumulate: boolean;
  readonly saved: Saved;
}

/** dX (+)= dOut W, and the adapter's part of it; its gradients accumulate in the adapter. */
export function projectBackward(
  pass: Pass,
  layer: number,
  linear: BlockLinear,
  args: BackwardArgs,
): void {
  projectAllBackward(pass, layer, [linear], { ...args, dOuts: [args.dOut] });
}

/** {@link projectBackward} of the layers of one {@link projectAll}: dX (+)= the sum of dOut W. */
export function projectAllBackward(
  pass: Pass,
  layer: number,
  linears: readonly BlockLinear[],
  args: Omit<BackwardArgs, 'dOut'> & { readonly dOuts: readonly Tensor[] },
): void {
  const { backend, weights } = pass;
  const { x, dX, dOuts } = args;
  let { accumulate } = args;
  const dOutOf = (linear: BlockLinear) => dOuts[linears.indexOf(linear)];
  const { plain, withMagnitude } = split(pass, layer, linears);
  for (const { linear, lora } of withMagnitude) {
    const shared = doraArgs(pass, layer, linear, lora, args);
    doraBackward(backend, lora, { ...shared, dOut: dOutOf(linear), dX, accumulate });
    accumulate = true;
  }
  const outs = plain.map(dOutOf);
  const ranks = plain.map((linear) => rankOf(loraOf(pass.adapter, layer, linear)));
  const ofRanks = ranks.filter(Boolean);
  const dHidden = ofRanks.length > 0 ? sideBySide(pass, 'lora.dHidden', rowsOf(pass), ofRanks) : [];
  const adapted = adaptedRuns(pass, layer, plain, { x, outs, saved: args.saved }).map(
    ({ layer: lora, args: { out: dOut, ...own } }, i) => {
      return { layer: lora, args: { ...own, dOut, dX, dHidden: dHidden[i] } };
    },
  );
  loraGradients(backend, adapted);
  for (const linear of plain) {
    const { weight } = weights.blocks[layer].linears[linear];
    backend.ops.linearBackward({ dOut: dOutOf(linear), weight, dX, accumulate });
    accumulate = true;
  }
  for (const each of adapted) loraInputGradient(backend, each.layer, each.args);
}
