import { expectTensor, type Tensor } from '../../tensor.js';

/**
 * One step of AdamW (https://arxiv.org/abs/1711.05101) in the order of torch.optim.AdamW:
 * p *= 1 - lr * wd; m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2;
 * p -= lr / (1 - b1^step) * m / (sqrt(v) / sqrt(1 - b2^step) + epsilon), with g = grad * scale.
 */
export interface AdamWArgs {
  readonly parameter: Tensor;
  readonly gradient: Tensor;
  /** First moment m. */
  readonly firstMoment: Tensor;
  /** Second moment v. */
  readonly secondMoment: Tensor;
  /** f32 `[1]`: multiplies the gradient (clipping). */
  readonly scale: Tensor;
  readonly learningRate: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly weightDecay: number;
  /** 1 for the first step. */
  readonly step: number;
}

export function checkAdamW(args: AdamWArgs): void {
  const { size } = args.parameter;
  for (const name of ['parameter', 'gradient', 'firstMoment', 'secondMoment'] as const)
    expectTensor('adamw', name, args[name], 'f32', size);
  expectTensor('adamw', 'scale', args.scale, 'f32', 1);
}
