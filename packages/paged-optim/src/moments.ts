import type { Backend, Parameter, Tensor, TensorData } from '@qlorajs/compute';
import { dynamicMap } from '@qlorajs/quant-nf4';
import { ADAM_BLOCK_SIZE, MIN_8BIT_SIZE } from './adam-state.js';
import { adamw8bitStep } from './adamw8bit.js';
import type { AdamCoefficients } from './options.js';
import type { Page, Pager, PageTensor } from './pager.js';

/** How moments are kept. */
export type MomentBits = '32bit' | '8bit';

/** One parameter and the page of its moments. */
export interface Slot {
  readonly parameter: Parameter;
  readonly coefficients: AdamCoefficients;
  readonly bits: MomentBits;
  /** The weight decay follows the update, as in bitsandbytes. */
  readonly decaysLast: boolean;
  readonly page: Page;
}

/** What a step shares among its slots. */
export interface StepArgs {
  readonly learningRate: number;
  readonly step: number;
  /** f32 `[1]` */
  readonly scale: Tensor;
  /** f32 `[512]`; null without 8-bit moments */
  readonly codeMaps: Tensor | null;
}

/** The parts of a page of moments, by the names of torch and bitsandbytes. */
const PARTS = {
  '32bit': ['exp_avg', 'exp_avg_sq'],
  '8bit': ['state1', 'state2', 'absmax1', 'absmax2'],
} as const;

/** Tensors below bitsandbytes' `min_8bit_size` keep 32 bits. */
export function bitsFor(size: number, wanted: MomentBits): MomentBits {
  return size < MIN_8BIT_SIZE ? '32bit' : wanted;
}

/** The tensors of a page of moments: flat, so that parameters of one size can share a place. */
export function momentTensors(size: number, bits: MomentBits): PageTensor[] {
  const wide = { dtype: 'f32', shape: [size] } as const;
  if (bits === '32bit') return [wide, wide];
  const codes = { dtype: 'u8', shape: [size] } as const;
  const scales = { dtype: 'f32', shape: [Math.ceil(size / ADAM_BLOCK_SIZE)] } as const;
  return [codes, codes, scales, scales];
}

/** The keys of a slot's parts in a checkpoint: `NAME.exp_avg`. */
export function momentNames({ parameter, bits }: Slot): string[] {
  return PARTS[bits].map((part) => `${parameter.name}.${part}`);
}

/** Both dynamic maps: f32 `[512]`, the signed one first. */
export function codeMapValues(): Float32Array {
  return Float32Array.of(...dynamicMap(true), ...dynamicMap(false));
}

function step32bit(backend: Backend, slot: Slot, moments: readonly Tensor[], args: StepArgs): void {
  const { parameter, coefficients, decaysLast } = slot;
  const { weightDecay } = coefficients;
  const { learningRate, step, scale } = args;
  backend.ops.adamw({
    ...{ parameter: parameter.value, gradient: parameter.grad },
    ...{ firstMoment: moments[0]!, secondMoment: moments[1]!, scale },
    ...{ ...coefficients, weightDecay: decaysLast ? 0 : weightDecay },
    ...{ learningRate, step },
  });
  if (!decaysLast || weightDecay === 0) return;
  const beta = 1 - learningRate * weightDecay;
  backend.ops.axpby({ x: parameter.grad, out: parameter.value, alpha: 0, beta });
}

/** On an engine without the operation: the same step by {@link adamw8bitStep} on the host. */
async function stepOnHost(pager: Pager, slot: Slot, args: StepArgs): Promise<void> {
  const { backend } = pager;
  const { parameter, coefficients, page } = slot;
  const [value, gradient, scale] = await Promise.all(
    [parameter.value, parameter.grad, args.scale].map((tensor) => backend.read(tensor)),
  );
  const contents = (await pager.read(page)).map((part) => part.slice()) as TensorData[];
  const [codes1, codes2] = contents as Uint8Array[];
  const [, , absmax1, absmax2] = contents as Float32Array[];
  adamw8bitStep({
    parameter: value!,
    gradient: gradient!,
    state: { kind: '8bit', codes1: codes1!, codes2: codes2!, absmax1: absmax1!, absmax2: absmax2! },
    gradientScale: scale![0],
    ...coefficients,
    ...{ learningRate: args.learningRate, step: args.step },
  });
  backend.write(parameter.value, value!);
  await pager.write(page, contents);
}

/** Takes one parameter's step; `next` is fetched meanwhile. */
export async function stepSlot(
  pager: Pager,
  slot: Slot,
  args: StepArgs,
  next: Slot | undefined,
): Promise<void> {
  const { ops } = pager.backend;
  const { parameter, coefficients, page, bits } = slot;
  if (bits === '8bit' && !ops.adamw8bit) return stepOnHost(pager, slot, args);
  const moments = await pager.use(page, 'update');
  try {
    if (next) pager.prefetch(next.page);
    if (bits === '32bit') return step32bit(pager.backend, slot, moments, args);
    const [codes1, codes2, absmax1, absmax2] = moments;
    ops.adamw8bit!({
      ...{ parameter: parameter.value, gradient: parameter.grad },
      ...{ codes1: codes1!, codes2: codes2!, absmax1: absmax1!, absmax2: absmax2! },
      ...{ codeMaps: args.codeMaps!, scale: args.scale },
      ...coefficients,
      ...{ learningRate: args.learningRate, step: args.step },
    });
  } finally {
    pager.release(page);
  }
}
