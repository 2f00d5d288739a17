import type { Backend, Tensor, TensorData } from '@qlorajs/compute';
import { dynamicMap } from '@qlorajs/quant-nf4';
import { ADAM_BLOCK_SIZE, MIN_8BIT_SIZE } from './adam-state.js';
import { adamw8bitStep } from './adamw8bit.js';
import type { AdamCoefficients } from './options.js';
import type { Page, PageTensor } from './page.js';
import type { Pager } from './pager.js';

/** How moments are kept. */
export type MomentBits = '32bit' | '8bit';

/** A parameter's elements in a slot. */
export interface SlotPart {
  readonly name: string;
  readonly offset: number;
  readonly size: number;
}

/** One parameter, or several that lie side by side, and the page of their moments. */
export interface Slot {
  readonly parts: readonly SlotPart[];
  /** f32, flat. */
  readonly value: Tensor;
  readonly grad: Tensor;
  readonly coefficients: AdamCoefficients;
  /** What the learning rate is multiplied by. */
  readonly rate: number;
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

/** Where a part's moments are, in one tensor of the slot's page. */
export interface MomentRange {
  /** `NAME.exp_avg`: its key in a checkpoint. */
  readonly name: string;
  /** Which tensor of the page. */
  readonly tensor: number;
  readonly start: number;
  readonly end: number;
}

/** The moments of every part, in the order of the page's tensors. */
export function momentRanges({ parts, bits }: Slot): MomentRange[] {
  return PARTS[bits].flatMap((moment, tensor) =>
    parts.map(({ name, offset, size }) => {
      const unit = moment.startsWith('absmax') ? ADAM_BLOCK_SIZE : 1;
      const start = offset / unit;
      return { name: `${name}.${moment}`, tensor, start, end: start + Math.ceil(size / unit) };
    }),
  );
}

/** Both dynamic maps: f32 `[512]`, the signed one first. */
export function codeMapValues(): Float32Array {
  return Float32Array.of(...dynamicMap(true), ...dynamicMap(false));
}

function step32bit(backend: Backend, slot: Slot, moments: readonly Tensor[], args: StepArgs): void {
  const { value, grad, coefficients, decaysLast, rate } = slot;
  const { weightDecay } = coefficients;
  const { step, scale } = args;
  const learningRate = args.learningRate * rate;
  backend.ops.adamw({
    ...{ parameter: value, gradient: grad },
    ...{ firstMoment: moments[0]!, secondMoment: moments[1]!, scale },
    ...{ ...coefficients, weightDecay: decaysLast ? 0 : weightDecay },
    ...{ learningRate, step },
  });
  if (!decaysLast || weightDecay === 0) return;
  const beta = 1 - learningRate * weightDecay;
  backend.ops.axpby({ x: grad, out: value, alpha: 0, beta });
}

/** On an engine without the operation: the same step by {@link adamw8bitStep} on the host. */
async function stepOnHost(pager: Pager, slot: Slot, args: StepArgs): Promise<void> {
  const { backend } = pager;
  const { coefficients, page, rate } = slot;
  const [value, gradient, scale] = await Promise.all(
    [slot.value, slot.grad, args.scale].map((tensor) => backend.read(tensor)),
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
    ...{ learningRate: args.learningRate * rate, step: args.step },
  });
  backend.write(slot.value, value!);
  await pager.write(page, contents);
}

/** Takes one slot's step; `next` is fetched meanwhile. */
export async function stepSlot(
  pager: Pager,
  slot: Slot,
  args: StepArgs,
  next: Slot | undefined,
): Promise<void> {
  const { ops } = pager.backend;
  const { coefficients, page, bits, rate } = slot;
  if (bits === '8bit' && !ops.adamw8bit) return stepOnHost(pager, slot, args);
  const moments = await pager.use(page, 'update');
  try {
    if (next) pager.prefetch(next.page);
    if (bits === '32bit') return step32bit(pager.backend, slot, moments, args);
    const [codes1, codes2, absmax1, absmax2] = moments;
    ops.adamw8bit!({
      ...{ parameter: slot.value, gradient: slot.grad },
      ...{ codes1: codes1!, codes2: codes2!, absmax1: absmax1!, absmax2: absmax2! },
      ...{ codeMaps: args.codeMaps!, scale: args.scale },
      ...coefficients,
      ...{ learningRate: args.learningRate * rate, step: args.step },
    });
  } finally {
    pager.release(page);
  }
}
