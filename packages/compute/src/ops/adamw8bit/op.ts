import { expectTensor, type Tensor } from '../../tensor.js';

/** Elements that share a scale. */
export const ADAM8_BLOCK = 256;

/**
 * One step of AdamW on moments in blockwise 8 bits (https://arxiv.org/abs/2110.02861), by the rules of
 * bitsandbytes' CUDA kernel (`kOptimizerStatic8bit2StateBlockwise`). For each block of 256 elements,
 * with g = grad * scale:
 * ```
 * m = b1 map1[codes1] absmax1 + (1 - b1) g;   v = b2 map2[codes2] absmax2 + (1 - b2) g^2
 * absmax1 = max |m|, absmax2 = max |v|;       codes = nearest entries of m / absmax1, v / absmax2
 * p += -lr sqrt(c2) / c1 * m / (sqrt(v) + sqrt(c2) epsilon);   p *= 1 - lr wd
 * ```
 * c1 = 1 - b1^step, c2 = 1 - b2^step. The update takes m and v before they are rounded; a code of m
 * whose entry has the other sign moves by one towards m's; where the gradient is not finite both
 * moments become 0 and the parameter stays.
 */
export interface AdamW8bitArgs {
  /** f32 `[n]` */
  readonly parameter: Tensor;
  /** f32 `[n]` */
  readonly gradient: Tensor;
  /** u8 `[n]`: codes of the first moment (signed map). */
  readonly codes1: Tensor;
  /** u8 `[n]`: codes of the second moment (unsigned map). */
  readonly codes2: Tensor;
  /** f32 `[ceil(n / 256)]` */
  readonly absmax1: Tensor;
  /** f32 `[ceil(n / 256)]` */
  readonly absmax2: Tensor;
  /** f32 `[2, 256]`: the signed and the unsigned dynamic map, ascending. */
  readonly codeMaps: Tensor;
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

export function checkAdamW8bit(args: AdamW8bitArgs): void {
  const { size } = args.parameter;
  const blocks = Math.ceil(size / ADAM8_BLOCK);
  for (const name of ['parameter', 'gradient'] as const)
    expectTensor('adamw8bit', name, args[name], 'f32', size);
  for (const name of ['codes1', 'codes2'] as const)
    expectTensor('adamw8bit', name, args[name], 'u8', size);
  for (const name of ['absmax1', 'absmax2'] as const)
    expectTensor('adamw8bit', name, args[name], 'f32', blocks);
  expectTensor('adamw8bit', 'codeMaps', args.codeMaps, 'f32', 512);
  expectTensor('adamw8bit', 'scale', args.scale, 'f32', 1);
}

/** The factors of a step that do not depend on the element, betas rounded to f32 as CUDA has them. */
export function adamW8bitFactors(args: AdamW8bitArgs) {
  const { learningRate, epsilon, weightDecay, step } = args;
  const [beta1, beta2] = [Math.fround(args.beta1), Math.fround(args.beta2)];
  const root2 = Math.sqrt(1 - beta2 ** step);
  return {
    beta1,
    rest1: 1 - beta1,
    beta2,
    rest2: 1 - beta2,
    stepSize: (-learningRate * root2) / (1 - beta1 ** step),
    epsilon: root2 * epsilon,
    keep: 1 - learningRate * weightDecay,
  };
}
