import { type Backend, type Parameter, Readback, sizeOf, tensorFrom } from '@qlorajs/compute';
import { QLoraError } from '@qlorajs/errors';
import { contiguous } from './contiguous.js';
import { codeMapValues, type MomentBits, momentRanges, type Slot, stepSlot } from './moments.js';
import { type AdamWOptions, completeOptions } from './options.js';
import { createPager, type Pager } from './pager.js';
import { slotsOf } from './slots.js';

/** What one step did. */
export interface StepResult {
  /** 2-norm over all gradients, before clipping. */
  readonly gradNorm: number;
  /** True when the norm was not finite: parameters, moments and the step count are as before. */
  readonly skipped: boolean;
}

/**
 * What a checkpoint keeps: the moments by torch's names, `NAME.exp_avg` and `NAME.exp_avg_sq`, or by
 * bitsandbytes', `NAME.state1`, `.state2` (codes), `.absmax1` and `.absmax2`.
 */
export interface OptimizerState {
  /** Steps taken; skipped ones do not count. */
  readonly step: number;
  readonly tensors: Readonly<Record<string, Float32Array | Uint8Array>>;
}

/** Turns gradients into new parameters. */
export interface Optimizer {
  /** Bytes of the moments, on the device or not. */
  readonly stateBytes: number;
  /** Read together with the norm, in one transfer: losses of the same step may wait here. */
  readonly readback: Readback;
  /** 2-norm over all gradients, before clipping; flushes {@link readback}. */
  gradNorm(): Promise<number>;
  /**
   * Clips, then updates every parameter; gradients stay as they are.
   * @param gradNorm what {@link gradNorm} told of these gradients; computed where it is left out
   */
  step(learningRate: number, gradNorm?: number): Promise<StepResult>;
  /** Sets every gradient to zero. */
  zeroGrad(): void;
  state(): Promise<OptimizerState>;
  /** @throws QLoraError `OPTIMIZER_STATE` unless it fits these parameters. */
  load(state: OptimizerState): Promise<void>;
  /** Frees the moments; parameters stay, and so does a pager that was given. */
  dispose(): void;
}

function checkState(state: OptimizerState, slots: readonly Slot[]): void {
  const expected = new Map(
    slots.flatMap((slot) =>
      momentRanges(slot).map(({ name, tensor, start, end }) => {
        const { dtype } = slot.page.tensors[tensor]!;
        return [name, { dtype, size: end - start }] as const;
      }),
    ),
  );
  const problemOf = (name: string, dtype: string, size: number): string[] => {
    const values = state.tensors[name];
    if (values?.length !== size)
      return [`${name} has ${values?.length ?? 'no'} values, not ${size}`];
    if (values instanceof Float32Array !== (dtype === 'f32')) return [`${name} is not ${dtype}`];
    return [];
  };
  const problems = [
    ...[...expected].flatMap(([name, { dtype, size }]) => problemOf(name, dtype, size)),
    ...Object.keys(state.tensors)
      .filter((name) => !expected.has(name))
      .map((name) => `${name} is not expected`),
  ];
  if (!Number.isSafeInteger(state.step) || state.step < 0) problems.push(`step is ${state.step}`);
  if (problems.length === 0) return;
  throw new QLoraError(
    'OPTIMIZER_STATE',
    `the optimizer state does not fit these parameters: ${problems.slice(0, 4).join('; ')}; resume with the adapter and the optimizer that the checkpoint was made with`,
    { details: { problems } },
  );
}

function checkNames(parameters: readonly Parameter[]): void {
  const names = parameters.map(({ name }) => name);
  const twice = names.filter((name, i) => names.indexOf(name) !== i);
  if (names.length > 0 && twice.length === 0) return;
  throw new QLoraError(
    'OPTIMIZER_PARAMETERS',
    names.length === 0
      ? 'there is nothing to optimize: the list of parameters is empty'
      : `parameters are listed twice: ${twice.join(', ')}`,
    { details: { twice } },
  );
}

/** How moments are kept and where. */
export interface MomentOptions {
  /** `8bit`: blockwise codes by bitsandbytes' rules, for parameters of 4,096 elements or more. */
  readonly moments?: MomentBits;
  /** Default: a pager of its own without a budget, so that everything stays on the device. */
  readonly pager?: Pager;
}

/**
 * AdamW (https://arxiv.org/abs/1711.05101) in the order of torch.optim.AdamW, after clipping of the
 * global norm as torch's `clip_grad_norm_`; with 8-bit moments in bitsandbytes' order, which decays
 * last. A parameter's moments are a page: with a pager under a budget they come to the device for
 * their step, one parameter ahead, and results are the same bit for bit.
 *
 * @throws QLoraError `OPTIMIZER_OPTION`, `OPTIMIZER_PARAMETERS`, and `PAGER_BUDGET` when one
 * parameter's moments exceed the pager's budget.
 * @example
 * ```ts
 * import { createReferenceBackend, tensorFrom } from '@qlorajs/compute';
 * import { createAdamW } from '@qlorajs/paged-optim';
 *
 * const backend = createReferenceBackend();
 * const value = tensorFrom(backend, [1, 1], [2]);
 * const grad = tensorFrom(backend, [3, 4], [2]);
 * const optimizer = createAdamW(backend, [{ name: 'w', value, grad }], { maxGradNorm: 1 });
 * console.log((await optimizer.step(0.1)).gradNorm, optimizer.stateBytes); // 5 16
 * ```
 */
export function createAdamW(
  backend: Backend,
  parameters: readonly Parameter[],
  options: Partial<AdamWOptions> & MomentOptions = {},
): Optimizer {
  const { moments: wanted = '32bit', pager: given, ...rest } = options;
  const { maxGradNorm, decays, rates, ...coefficients } = completeOptions(rest);
  checkNames(parameters);
  const { ops } = backend;
  const pager = given ?? createPager(backend);
  // A pager that was given moves pages, under its budget or the backend's.
  const joins = given === undefined;
  const slots = slotsOf(parameters, wanted, { ...coefficients, decays, rates }, pager, joins);
  for (const { page } of slots)
    if (pager.stats.residentBytes + page.bytes <= pager.budget) pager.prefetch(page);
  const squares = backend.empty('f32', [1], 'sum of squared gradients');
  const scale = backend.empty('f32', [1], 'clip scale');
  const codeMaps = slots.some(({ bits }) => bits === '8bit')
    ? tensorFrom(backend, codeMapValues(), [512], 'code maps of the moments')
    : null;
  const own = [squares, scale, ...(codeMaps ? [codeMaps] : [])];
  const readback = new Readback(backend, 'losses and norm');
  const gradients = contiguous(parameters.map(({ grad }) => grad));
  let taken = 0;

  const gradNorm = async (): Promise<number> => {
    gradients.forEach((x, i) => {
      ops.sumSquares({ x, out: squares, accumulate: i > 0 });
    });
    const { tensor, values } = readback.reserve(1);
    ops.axpby({ x: squares, out: tensor, alpha: 1, beta: 0 });
    await readback.flush();
    return Math.sqrt((await values)[0]!);
  };

  return {
    stateBytes: slots.reduce((total, { page }) => total + page.bytes, 0),
    readback,
    gradNorm,
    async step(learningRate, known) {
      const norm = known ?? (await gradNorm());
      if (!Number.isFinite(norm)) return { gradNorm: norm, skipped: true };
      ops.clipScale({ sumSquares: squares, maxNorm: maxGradNorm, out: scale });
      const shared = { step: taken + 1, scale, codeMaps };
      for (const [i, slot] of slots.entries()) {
        await stepSlot(pager, slot, { ...shared, learningRate }, slots[i + 1]);
      }
      taken += 1;
      return { gradNorm: norm, skipped: false };
    },
    zeroGrad() {
      readback.clear();
      for (const out of gradients) ops.fill({ out, value: 0 });
    },
    async state() {
      const tensors: Record<string, Float32Array | Uint8Array> = {};
      for (const slot of slots) {
        const contents = await pager.read(slot.page);
        for (const { name, tensor, start, end } of momentRanges(slot))
          tensors[name] = (contents[tensor] as Float32Array | Uint8Array).slice(start, end);
      }
      return { step: taken, tensors };
    },
    async load(state) {
      checkState(state, slots);
      for (const slot of slots) {
        const contents = slot.page.tensors.map(({ dtype, shape }) =>
          dtype === 'f32' ? new Float32Array(sizeOf(shape)) : new Uint8Array(sizeOf(shape)),
        );
        for (const { name, tensor, start } of momentRanges(slot))
          contents[tensor]!.set(state.tensors[name]!, start);
        await pager.write(slot.page, contents);
      }
      taken = state.step;
    },
    dispose() {
      for (const { page } of slots) pager.free(page);
      if (!given) pager.dispose();
      for (const tensor of own) backend.free(tensor);
      readback.dispose();
    },
  };
}
