import { QLoraError } from '@qlorajs/errors';
import { dequantizeBlockwise, dynamicMap, quantizeBlockwise } from '@qlorajs/quant-nf4';
import { ADAM_BLOCK_SIZE, type Adam8bitState, type AdamState } from './adam-state.js';
import type { AdamCoefficients } from './options.js';

const SIGNED_MAP = dynamicMap(true);
const UNSIGNED_MAP = dynamicMap(false);

/** Arguments of {@link adamw8bitStep}; parameter and state change in place. */
export interface AdamW8bitStepArgs extends AdamCoefficients {
  /** f32 `[n]` */
  readonly parameter: Float32Array;
  /** f32 `[n]` */
  readonly gradient: Float32Array;
  readonly state: AdamState;
  readonly learningRate: number;
  /** 1 for the first step. */
  readonly step: number;
  /** Multiplies the gradient (clipping); default 1. */
  readonly gradientScale?: number;
}

interface Moments {
  readonly first: Float32Array;
  readonly second: Float32Array;
}

function readMoments(state: AdamState): Moments {
  if (state.kind === '32bit') return { first: state.firstMoment, second: state.secondMoment };
  const { codes1, codes2, absmax1, absmax2 } = state;
  return {
    first: dequantizeBlockwise(codes1, absmax1, SIGNED_MAP, ADAM_BLOCK_SIZE),
    second: dequantizeBlockwise(codes2, absmax2, UNSIGNED_MAP, ADAM_BLOCK_SIZE),
  };
}

/** m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2; both 0 where g is not finite. */
function updateMoments({ first, second }: Moments, args: AdamW8bitStepArgs): void {
  const { gradient, gradientScale = 1 } = args;
  const [beta1, beta2] = [Math.fround(args.beta1), Math.fround(args.beta2)];
  for (let i = 0; i < gradient.length; i++) {
    const finite = Number.isFinite(gradient[i]!);
    const g = Math.fround(gradient[i]! * gradientScale);
    first[i] = finite ? Math.fround(first[i]! * beta1) + Math.fround((1 - beta1) * g) : 0;
    second[i] = finite ? Math.fround(second[i]! * beta2) + Math.fround((1 - beta2) * g * g) : 0;
  }
}

/** A first moment that would round to the other sign moves one code towards its own. */
function keepSigns(codes: Uint8Array, first: Float32Array): void {
  for (let i = 0; i < codes.length; i++) {
    const value = first[i]!;
    const negative = value < 0 || Object.is(value, -0);
    if (SIGNED_MAP[codes[i]!]! < 0 !== negative) codes[i]! += value > 0 ? 1 : -1;
  }
}

function writeMoments(state: Adam8bitState, { first, second }: Moments): void {
  const one = quantizeBlockwise(first, SIGNED_MAP, ADAM_BLOCK_SIZE);
  const two = quantizeBlockwise(second, UNSIGNED_MAP, ADAM_BLOCK_SIZE);
  keepSigns(one.codes, first);
  state.codes1.set(one.codes);
  state.absmax1.set(one.absmax);
  state.codes2.set(two.codes);
  state.absmax2.set(two.absmax);
}

/** p -= lr sqrt(c2) / c1 * m / (sqrt(v) + sqrt(c2) epsilon), then p *= 1 - lr wd: the decay comes last. */
function updateParameter({ first, second }: Moments, args: AdamW8bitStepArgs): void {
  const { parameter, gradient, learningRate, step, epsilon, weightDecay } = args;
  const correction1 = 1 - Math.fround(args.beta1) ** step;
  const correction2 = Math.sqrt(1 - Math.fround(args.beta2) ** step);
  const stepSize = (-learningRate * correction2) / correction1;
  const kept = Math.fround(1 - learningRate * weightDecay);
  for (let i = 0; i < parameter.length; i++) {
    if (!Number.isFinite(gradient[i]!)) continue;
    const update = (stepSize * first[i]!) / (Math.sqrt(second[i]!) + correction2 * epsilon);
    parameter[i] = Math.fround(parameter[i]! + update) * kept;
  }
}

/**
 * One step of AdamW as the CUDA kernels of bitsandbytes 0.50 do it (`AdamW8bit`,
 * https://arxiv.org/abs/2110.02861): the update uses the new moments before they are rounded to
 * 8 bits, and the weight decay comes after it (torch.optim.AdamW decays first). Where the gradient is
 * not finite, moments become 0 and the parameter stays. A `32bit` state takes the same step in f32.
 *
 * @throws QLoraError `OPTIMIZER_SIZE` when the arrays' sizes differ; `BLOCKWISE_NOT_FINITE` when a
 * moment overflows f32 (then nothing has changed).
 * @example
 * ```ts
 * import { adamw8bitStep, createAdamState } from '@qlorajs/paged-optim';
 *
 * const parameter = new Float32Array(4096).fill(1);
 * const gradient = new Float32Array(4096).fill(0.5);
 * const state = createAdamState(4096);
 * const rates = { learningRate: 0.01, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0 };
 * adamw8bitStep({ parameter, gradient, state, step: 1, ...rates });
 * console.log(state.kind, parameter[0]?.toFixed(4)); // 8bit 0.9900
 * ```
 */
export function adamw8bitStep(args: AdamW8bitStepArgs): void {
  const { parameter, gradient, state } = args;
  const size = state.kind === '8bit' ? state.codes1.length : state.firstMoment.length;
  if (parameter.length !== size || gradient.length !== size)
    throw new QLoraError(
      'OPTIMIZER_SIZE',
      `adamw8bitStep: parameter has ${parameter.length} elements, gradient ${gradient.length}, state ${size}; make the state with createAdamState(parameter.length)`,
      {
        kind: 'runtime',
        details: { parameter: parameter.length, gradient: gradient.length, size },
      },
    );
  const moments = readMoments(state);
  updateMoments(moments, args);
  if (state.kind === '8bit') writeMoments(state, moments);
  updateParameter(moments, args);
}
