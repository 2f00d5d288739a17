import type { Backend, Tensor } from '@qlorajs/compute';
import { QLoraError } from '@qlorajs/errors';
import type { LoraLinear } from './adapter.js';

/** The mask of one layer in one step; the same three numbers give the same mask. */
export interface LoraDropout {
  /** In [0, 1). */
  readonly probability: number;
  readonly seed: number;
  readonly stream: number;
  /** Index of x's first element in the mask, where x is a part of a batch; default 0. */
  readonly first?: number;
}

export interface LoraHiddenArgs {
  /** Input of the linear layer, `[n, in]`. */
  readonly x: Tensor;
  /** Receives u `[n, rank]`; the backward reads it. */
  readonly hidden: Tensor;
  /** Scratch `[n, in]`; null is enough without dropout. */
  readonly dropped: Tensor | null;
  /** Null when evaluating. */
  readonly dropout: LoraDropout | null;
}

export interface LoraForwardArgs extends LoraHiddenArgs {
  /** Output of the linear layer so far, `[n, out]`; the update is added. */
  readonly out: Tensor;
}

export interface LoraBackwardArgs {
  /** Gradient of the layer's output, `[n, out]`. */
  readonly dOut: Tensor;
  /** As in the forward. */
  readonly x: Tensor;
  /** u from the forward. */
  readonly hidden: Tensor;
  /** Scratch `[n, rank]`. */
  readonly dHidden: Tensor;
  /** Scratch `[n, in]`; null is enough without dropout. */
  readonly dropped: Tensor | null;
  /** Gradient of x, `[n, in]`; the update's share is added. Null when nobody needs it. */
  readonly dX: Tensor | null;
  /** As in the forward. */
  readonly dropout: LoraDropout | null;
}

interface ActiveDropout extends LoraDropout {
  readonly dropped: Tensor;
}

function activeDropout(dropout: LoraDropout | null, dropped: Tensor | null): ActiveDropout | null {
  if (dropout === null || dropout.probability === 0) return null;
  if (dropped === null)
    throw new QLoraError(
      'LORA_SCRATCH',
      'LoRA dropout needs the scratch tensor `dropped`, [n, in]',
      { kind: 'runtime' },
    );
  return { ...dropout, dropped };
}

/** x', the input after dropout. */
function applyDropout(backend: Backend, x: Tensor, active: ActiveDropout | null): Tensor {
  if (active === null) return x;
  const { dropped, ...mask } = active;
  backend.ops.dropout({ x, out: dropped, ...mask, accumulate: false });
  return dropped;
}

/** u = x' A^T alone: what {@link loraBackward} reads where the forward is run again for it. */
export function loraHidden(backend: Backend, layer: LoraLinear, args: LoraHiddenArgs): void {
  loraHiddenOf(backend, [{ layer, args }]);
}

/** {@link loraHidden} of several layers, whose scratch must differ: what is the same follows each other. */
export function loraHiddenOf(
  backend: Backend,
  layers: readonly { readonly layer: LoraLinear; readonly args: LoraHiddenArgs }[],
): void {
  const inputs = droppedInputs(backend, layers);
  layers.forEach(({ layer: { a, rank }, args: { hidden } }, i) => {
    backend.ops.matmul({
      a: inputs[i],
      b: a.value,
      out: hidden,
      m: hidden.size / rank,
      n: rank,
      k: a.value.size / rank,
      transposeA: false,
      transposeB: true,
      alpha: 1,
      beta: 0,
    });
  });
}

function droppedInputs(
  backend: Backend,
  layers: readonly { readonly args: Omit<LoraHiddenArgs, 'hidden'> }[],
): Tensor[] {
  return layers.map(({ args: { x, dropout, dropped } }) =>
    applyDropout(backend, x, activeDropout(dropout, dropped)),
  );
}

/**
 * Adds the low-rank update to a linear layer's output (https://arxiv.org/abs/2106.09685, section 4.1):
 *
 *     x' = dropout(x)            [n, in]
 *     u  = x' A^T                [n, rank]
 *     out += scaling * u B^T     [n, out]
 *
 * @example
 * ```ts
 * import { createReferenceBackend, tensorFrom } from '@qlorajs/compute';
 * import { loraForward } from '@qlorajs/lora';
 *
 * const backend = createReferenceBackend();
 * const parameter = (name: string, values: number[], shape: number[]) => ({
 *   name,
 *   value: tensorFrom(backend, values, shape),
 *   grad: backend.empty('f32', shape),
 * });
 * const a = parameter('a', [1, 2], [1, 2]);
 * const b = parameter('b', [10, 20, 30], [3, 1]);
 * const out = backend.empty('f32', [1, 3]);
 * const x = tensorFrom(backend, [1, 1], [1, 2]);
 * const hidden = backend.empty('f32', [1, 1]);
 * loraForward(backend, { name: 'q_proj', a, b, rank: 1, scaling: 0.5 }, { x, out, hidden, dropped: null, dropout: null });
 * console.log([...(await backend.read(out))].join()); // 15,30,45
 * ```
 */
export function loraForward(backend: Backend, layer: LoraLinear, args: LoraForwardArgs): void {
  loraHidden(backend, layer, args);
  loraUpdate(backend, layer, args);
}

/** out += scaling * u B^T, the second half of {@link loraForward}. */
export function loraUpdate(
  backend: Backend,
  layer: LoraLinear,
  { out, hidden }: Pick<LoraForwardArgs, 'out' | 'hidden'>,
): void {
  const { b, rank, scaling } = layer;
  backend.ops.matmul({
    a: hidden,
    b: b.value,
    out,
    m: hidden.size / rank,
    n: b.value.size / rank,
    k: rank,
    transposeA: false,
    transposeB: true,
    alpha: scaling,
    beta: 1,
  });
}

/**
 * The backward of {@link loraForward}. Gradients are added to `a.grad`, `b.grad` and `dX`:
 *
 *     dB += scaling * dOut^T u         [out, rank]
 *     du  = scaling * dOut B           [n, rank]
 *     dA += du^T x'                    [rank, in]
 *     dX += dropout'(du A)             [n, in], the same mask and factor as in the forward
 */
export function loraBackward(backend: Backend, layer: LoraLinear, args: LoraBackwardArgs): void {
  loraGradients(backend, [{ layer, args }]);
  loraInputGradient(backend, layer, args);
}

/** A layer and what its backward needs. */
export interface LoraBackwardOf {
  readonly layer: LoraLinear;
  readonly args: LoraBackwardArgs;
}

/**
 * The gradients of A and B, and du: {@link loraBackward} without dX. What is the same for several layers
 * follows each other, so that engines can do it at one time.
 */
export function loraGradients(backend: Backend, layers: readonly LoraBackwardOf[]): void {
  for (const each of layers) gradientOfB(backend, each);
  for (const each of layers) gradientOfHidden(backend, each);
  const inputs = droppedInputs(backend, layers);
  layers.forEach((each, i) => {
    gradientOfA(backend, each, inputs[i]);
  });
}

/** dB += scaling * dOut^T u */
function gradientOfB(backend: Backend, { layer, args }: LoraBackwardOf): void {
  const { dOut, hidden } = args;
  const { b, rank, scaling } = layer;
  backend.ops.matmul({
    a: dOut,
    b: hidden,
    out: b.grad,
    m: b.value.size / rank,
    n: rank,
    k: hidden.size / rank,
    transposeA: true,
    transposeB: false,
    alpha: scaling,
    beta: 1,
  });
}

/** du = scaling * dOut B */
function gradientOfHidden(backend: Backend, { layer, args }: LoraBackwardOf): void {
  const { dOut, dHidden } = args;
  const { b, rank, scaling } = layer;
  backend.ops.matmul({
    a: dOut,
    b: b.value,
    out: dHidden,
    m: dHidden.size / rank,
    n: rank,
    k: b.value.size / rank,
    transposeA: false,
    transposeB: false,
    alpha: scaling,
    beta: 0,
  });
}

/** dA += du^T x', x' made again from the counters rather than saved */
function gradientOfA(backend: Backend, { layer, args }: LoraBackwardOf, dropped: Tensor): void {
  const { dHidden } = args;
  const { a, rank } = layer;
  backend.ops.matmul({
    a: dHidden,
    b: dropped,
    out: a.grad,
    m: rank,
    n: a.value.size / rank,
    k: dHidden.size / rank,
    transposeA: true,
    transposeB: false,
    alpha: 1,
    beta: 1,
  });
}

/** dX += dropout'(du A): the last part of {@link loraBackward}. */
export function loraInputGradient(
  backend: Backend,
  layer: LoraLinear,
  args: LoraBackwardArgs,
): void {
  const { dHidden, dX } = args;
  const { a, rank } = layer;
  if (dX === null) return;
  const active = activeDropout(args.dropout, args.dropped);
  // dX' = du A; x' is no longer needed, so its scratch can take dX'
  backend.ops.matmul({
    a: dHidden,
    b: a.value,
    out: active?.dropped ?? dX,
    m: dHidden.size / rank,
    n: a.value.size / rank,
    k: rank,
    transposeA: false,
    transposeB: false,
    alpha: 1,
    beta: active === null ? 1 : 0,
  });
  if (active === null) return;
  const { dropped, ...mask } = active;
  backend.ops.dropout({ x: dropped, out: dX, ...mask, accumulate: true });
}
