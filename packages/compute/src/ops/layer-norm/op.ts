import { expectTensor, type Tensor } from '../../tensor.js';

/** out = (x - mean) * rstd * weight + bias, over the last dimension (https://arxiv.org/abs/1607.06450). */
export interface LayerNormArgs {
  /** f32 `[n, C]` */
  readonly x: Tensor;
  /** f32 `[C]` */
  readonly weight: Tensor;
  /** f32 `[C]` */
  readonly bias: Tensor;
  readonly epsilon: number;
  /** f32 `[n, C]` */
  readonly out: Tensor;
  /** f32 `[n]`, saved for the backward. */
  readonly mean: Tensor;
  /** f32 `[n]`: 1 / sqrt(variance + epsilon). */
  readonly rstd: Tensor;
}

/**
 * Gradient to x alone: weight and bias are frozen. With g = dOut * weight and n = (x - mean) * rstd,
 * dX = rstd * (g - mean(g) - n * mean(g * n)).
 */
export interface LayerNormBackwardArgs {
  readonly dOut: Tensor;
  readonly x: Tensor;
  readonly weight: Tensor;
  readonly mean: Tensor;
  readonly rstd: Tensor;
  /** f32 `[n, C]` */
  readonly dX: Tensor;
  /** dX += instead of dX = . */
  readonly accumulate: boolean;
}

export function checkLayerNorm({ x, weight, bias, out, mean, rstd }: LayerNormArgs): void {
  const width = weight.size;
  const rows = x.size / width;
  expectTensor('layerNorm', 'x', x, 'f32', rows * width);
  expectTensor('layerNorm', 'bias', bias, 'f32', width);
  expectTensor('layerNorm', 'out', out, 'f32', rows * width);
  expectTensor('layerNorm', 'mean', mean, 'f32', rows);
  expectTensor('layerNorm', 'rstd', rstd, 'f32', rows);
}

export function checkLayerNormBackward(args: LayerNormBackwardArgs): void {
  const { dOut, x, weight, mean, rstd, dX } = args;
  const rows = x.size / weight.size;
  expectTensor('layerNormBackward', 'dOut', dOut, 'f32', x.size);
  expectTensor('layerNormBackward', 'mean', mean, 'f32', rows);
  expectTensor('layerNormBackward', 'rstd', rstd, 'f32', rows);
  expectTensor('layerNormBackward', 'dX', dX, 'f32', x.size);
}
