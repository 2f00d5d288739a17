import { expectTensor, type Tensor } from '../../tensor.js';

/** out = sum of x^2, in an order that does not depend on the number of threads. */
export interface SumSquaresArgs {
  readonly x: Tensor;
  /** f32 `[1]` */
  readonly out: Tensor;
  /** out += instead of out = . */
  readonly accumulate: boolean;
}

/** out = min(1, maxNorm / (sqrt(sumSquares) + 1e-6)), torch's clip_grad_norm_; 1 when maxNorm <= 0. */
export interface ClipScaleArgs {
  /** f32 `[1]` */
  readonly sumSquares: Tensor;
  readonly maxNorm: number;
  /** f32 `[1]` */
  readonly out: Tensor;
}

export function checkSumSquares({ x, out }: SumSquaresArgs): void {
  expectTensor('sumSquares', 'x', x, 'f32', x.size);
  expectTensor('sumSquares', 'out', out, 'f32', 1);
}

export function checkClipScale({ sumSquares, out }: ClipScaleArgs): void {
  expectTensor('clipScale', 'sumSquares', sumSquares, 'f32', 1);
  expectTensor('clipScale', 'out', out, 'f32', 1);
}
