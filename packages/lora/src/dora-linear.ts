import type { Backend, LinearWeight, Parameter, Tensor } from '@qlorajs/compute';
import type { LoraLinear } from './adapter.js';
import { type LoraDropout, loraBackward, loraForward } from './lora-linear.js';

/** A layer with a magnitude: m / |W + s B A| (W + s B A), row by row. */
export interface DoraLinear extends LoraLinear {
  /** f32 `[out]` */
  readonly magnitude: Parameter;
}

export function isDora(layer: LoraLinear): layer is DoraLinear {
  return Boolean(layer.magnitude);
}

/**
 * 1 / |W + s B A|, row by row. DoRA holds it constant within a step (section 4.3), so that it is made
 * once for forward and backward.
 * @param scratch f32 `[out, in]`
 * @param out f32 `[out]`
 */
export function doraInverseNorms(
  backend: Backend,
  layer: LoraLinear,
  weight: LinearWeight,
  { scratch, rows, out }: { scratch: Tensor; rows: Tensor; out: Tensor },
): void {
  const [outFeatures, inFeatures] = weight.shape;
  const { ops } = backend;
  if (weight.kind === 'nf4') ops.dequantizeNf4({ weight, out: scratch });
  else ops.gatherRows({ source: weight.values, ids: rows, out: scratch, width: inFeatures });
  const shape = { m: outFeatures, n: inFeatures, k: layer.rank };
  const plain = { transposeA: false, transposeB: false, alpha: layer.scaling, beta: 1 };
  ops.matmul({ a: layer.b.value, b: layer.a.value, out: scratch, ...shape, ...plain });
  ops.inverseRowNorms({ x: scratch, out });
}

/** What forward and backward of a layer share. */
export interface DoraArgs {
  readonly weight: LinearWeight;
  /** f32 `[out]`, from {@link doraInverseNorms}. */
  readonly inverseNorms: Tensor;
  /** Input of the layer, `[n, in]`. */
  readonly x: Tensor;
  /** u, `[n, rank]`: made in the forward, read in the backward. */
  readonly hidden: Tensor;
  /** y = (W + s B A) x', `[n, out]`: made in the forward, read in the backward. */
  readonly combined: Tensor;
  /** Null when evaluating. */
  readonly dropout: LoraDropout | null;
  /** A buffer of this shape, by name. */
  scratch(name: string, shape: readonly number[]): Tensor;
}

/** m / |W + s B A|: what every output is multiplied by. */
function magnitudeScale(backend: Backend, layer: DoraLinear, args: DoraArgs): Tensor {
  const { value } = layer.magnitude;
  const out = args.scratch('scale', [value.size]);
  backend.ops.scaleColumns({ x: value, scale: args.inverseNorms, out, accumulate: false });
  return out;
}

/** x' where there is dropout, else null. */
function droppedInput(backend: Backend, { dropout, x, scratch }: DoraArgs): Tensor | null {
  if (dropout === null || dropout.probability === 0) return null;
  const out = scratch('input', x.shape);
  backend.ops.dropout({ x, out, ...dropout, accumulate: false });
  return out;
}

/** y = W x' + s B A x', and u: the part of the forward that the backward reads. */
export function doraCombine(backend: Backend, layer: DoraLinear, args: DoraArgs): void {
  const { weight, x, hidden, combined } = args;
  const input = droppedInput(backend, args) ?? x;
  backend.ops.linear({ x: input, weight, bias: null, out: combined, accumulate: false });
  loraForward(backend, layer, { x: input, out: combined, hidden, dropped: null, dropout: null });
}

/**
 * A whole linear layer with DoRA (https://arxiv.org/abs/2402.09353), as PEFT computes it:
 * ```
 * y    = W x' + s B A x'
 * out (+)= W x + bias - W x' + (m / |W + s B A|) y
 * ```
 * where x' = dropout(x), or x itself: then W x - W x' is left out.
 */
export function doraForward(
  backend: Backend,
  layer: DoraLinear,
  args: DoraArgs & { readonly bias: Tensor; readonly out: Tensor; readonly accumulate: boolean },
): void {
  const { weight, x, hidden, combined, bias, out, accumulate } = args;
  const { ops } = backend;
  const dropped = droppedInput(backend, args);
  const input = dropped ?? x;
  ops.linear({ x: input, weight, bias: null, out: combined, accumulate: false });
  if (dropped === null) {
    const ones = args.scratch('ones', [out.size / bias.size]);
    addToRows(backend, bias, out, { accumulate, ones });
  } else {
    ops.linear({ x, weight, bias, out, accumulate });
    ops.axpby({ x: combined, out, alpha: -1, beta: 1 });
  }
  loraForward(backend, layer, { x: input, out: combined, hidden, dropped: null, dropout: null });
  const scale = magnitudeScale(backend, layer, args);
  ops.scaleColumns({ x: combined, scale, out, accumulate: true });
}

/** out (+)= bias, in every row. */
function addToRows(
  backend: Backend,
  bias: Tensor,
  out: Tensor,
  { accumulate, ones }: { readonly accumulate: boolean; readonly ones: Tensor },
): void {
  backend.ops.fill({ out: ones, value: 1 });
  const shape = { m: ones.size, n: bias.size, k: 1, transposeA: false, transposeB: false };
  backend.ops.matmul({ a: ones, b: bias, out, ...shape, alpha: 1, beta: accumulate ? 1 : 0 });
}

/**
 * The backward of {@link doraForward}. With g = (m / |W + s B A|) dOut:
 * ```
 * dm  += (sum over rows of dOut y) / |W + s B A|
 * dX (+)= g W, or with dropout dOut W + dropout'((g - dOut) W); LoRA's own part with g
 * ```
 */
export function doraBackward(
  backend: Backend,
  layer: DoraLinear,
  args: DoraArgs & { readonly dOut: Tensor; readonly dX: Tensor; readonly accumulate: boolean },
): void {
  const { weight, x, hidden, combined, dOut, dX, inverseNorms, dropout, accumulate } = args;
  const { ops } = backend;
  const { magnitude, rank } = layer;
  const sums = args.scratch('sums', [magnitude.value.size]);
  ops.fill({ out: sums, value: 0 });
  ops.columnSums({ a: dOut, b: combined, out: sums });
  ops.scaleColumns({ x: sums, scale: inverseNorms, out: magnitude.grad, accumulate: true });

  const g = args.scratch('gradient', dOut.shape);
  const scale = magnitudeScale(backend, layer, args);
  ops.scaleColumns({ x: dOut, scale, out: g, accumulate: false });
  const dHidden = args.scratch('dHidden', [hidden.size / rank, rank]);
  const lora = { dOut: g, hidden, dHidden, dropped: null, dropout: null };
  const dropped = droppedInput(backend, args);
  if (dropped === null || dropout === null) {
    ops.linearBackward({ dOut: g, weight, dX, accumulate });
    loraBackward(backend, layer, { ...lora, x, dX });
    return;
  }
  ops.linearBackward({ dOut, weight, dX, accumulate });
  // y has been read: its buffer takes g - dOut.
  ops.axpby({ x: g, out: combined, alpha: 1, beta: 0 });
  ops.axpby({ x: dOut, out: combined, alpha: -1, beta: 1 });
  const dInput = args.scratch('dInput', x.shape);
  ops.linearBackward({ dOut: combined, weight, dX: dInput, accumulate: false });
  loraBackward(backend, layer, { ...lora, x: dropped, dX: dInput });
  ops.dropout({ x: dInput, out: dX, ...dropout, accumulate: true });
}
