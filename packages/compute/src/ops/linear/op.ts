import { expectTensor, type Tensor } from '../../tensor.js';
import type { LinearWeight } from '../../weight.js';

/** out = x W^T + bias, with W `[out, in]` dense or NF4. */
export interface LinearArgs {
  /** f32 `[n, in]` */
  readonly x: Tensor;
  readonly weight: LinearWeight;
  /** f32 `[out]` */
  readonly bias: Tensor | null;
  /** f32 `[n, out]` */
  readonly out: Tensor;
  /** out += instead of out = . */
  readonly accumulate: boolean;
}

/** dX = dOut W. There is no gradient to the frozen weight. */
export interface LinearBackwardArgs {
  /** f32 `[n, out]` */
  readonly dOut: Tensor;
  readonly weight: LinearWeight;
  /** f32 `[n, in]` */
  readonly dX: Tensor;
  /** dX += instead of dX = . */
  readonly accumulate: boolean;
}

export function checkLinear({ x, weight, bias, out }: LinearArgs): void {
  const [outFeatures, inFeatures] = weight.shape;
  const rows = out.size / outFeatures;
  expectTensor('linear', 'x', x, 'f32', rows * inFeatures);
  expectTensor('linear', 'out', out, 'f32', rows * outFeatures);
  if (bias) expectTensor('linear', 'bias', bias, 'f32', outFeatures);
}

export function checkLinearBackward({ dOut, weight, dX }: LinearBackwardArgs): void {
  const [outFeatures, inFeatures] = weight.shape;
  const rows = dX.size / inFeatures;
  expectTensor('linearBackward', 'dOut', dOut, 'f32', rows * outFeatures);
  expectTensor('linearBackward', 'dX', dX, 'f32', rows * inFeatures);
}
