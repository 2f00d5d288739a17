import { type Backend, byteLengthOf, type Parameter, type Tensor } from '@qlorajs/compute';
import { QLoraError } from '@qlorajs/errors';
import { type AdamWOptions, completeOptions } from './options.js';

/** What one step did. */
export interface StepResult {
  /** 2-norm over all gradients, before clipping. */
  readonly gradNorm: number;
  /** True when the norm was not finite: parameters, moments and the step count are as before. */
  readonly skipped: boolean;
}

/** What a checkpoint keeps: the moments by torch's names, `NAME.exp_avg` and `NAME.exp_avg_sq`. */
export interface OptimizerState {
  /** Steps taken; skipped ones do not count. */
  readonly step: number;
  readonly tensors: Readonly<Record<string, Float32Array>>;
}

/** Turns gradients into new parameters. */
export interface Optimizer {
  /** Device memory of the moments. */
  readonly stateBytes: number;
  /** Clips, then updates every parameter; gradients stay as they are. */
  step(learningRate: number): Promise<StepResult>;
  /** Sets every gradient to zero. */
  zeroGrad(): void;
  state(): Promise<OptimizerState>;
  /** @throws QLoraError `OPTIMIZER_STATE` unless it fits these parameters. */
  load(state: OptimizerState): void;
  /** Frees the moments; parameters stay. */
  dispose(): void;
}

interface Slot {
  readonly parameter: Parameter;
  readonly weightDecay: number;
  readonly firstMoment: Tensor;
  readonly secondMoment: Tensor;
}

function momentsOf(slots: readonly Slot[]): Map<string, Tensor> {
  return new Map(
    slots.flatMap(({ parameter, firstMoment, secondMoment }) => [
      [`${parameter.name}.exp_avg`, firstMoment],
      [`${parameter.name}.exp_avg_sq`, secondMoment],
    ]),
  );
}

function checkState(state: OptimizerState, moments: ReadonlyMap<string, Tensor>): void {
  const problems = [
    ...[...moments]
      .filter(([name, tensor]) => state.tensors[name]?.length !== tensor.size)
      .map(
        ([name, { size }]) =>
          `${name} has ${state.tensors[name]?.length ?? 'no'} values, not ${size}`,
      ),
    ...Object.keys(state.tensors)
      .filter((name) => !moments.has(name))
      .map((name) => `${name} is not expected`),
  ];
  if (!Number.isSafeInteger(state.step) || state.step < 0) problems.push(`step is ${state.step}`);
  if (problems.length === 0) return;
  throw new QLoraError(
    'OPTIMIZER_STATE',
    `the optimizer state does not fit these parameters: ${problems.slice(0, 4).join('; ')}; resume with the adapter that the checkpoint was made with`,
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

/**
 * AdamW (https://arxiv.org/abs/1711.05101) with f32 moments on the device, in the order of
 * torch.optim.AdamW, after clipping of the global norm as torch's `clip_grad_norm_`.
 *
 * @throws QLoraError `OPTIMIZER_OPTION`, `OPTIMIZER_PARAMETERS`.
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
  options: Partial<AdamWOptions> = {},
): Optimizer {
  const { beta1, beta2, epsilon, weightDecay, maxGradNorm, decays } = completeOptions(options);
  checkNames(parameters);
  const { ops } = backend;
  const slots: Slot[] = parameters.map((parameter) => ({
    parameter,
    weightDecay: decays(parameter.name) ? weightDecay : 0,
    firstMoment: backend.empty('f32', parameter.value.shape, `${parameter.name}.exp_avg`),
    secondMoment: backend.empty('f32', parameter.value.shape, `${parameter.name}.exp_avg_sq`),
  }));
  const moments = momentsOf(slots);
  const squares = backend.empty('f32', [1], 'sum of squared gradients');
  const scale = backend.empty('f32', [1], 'clip scale');
  let taken = 0;

  const gradNorm = async (): Promise<number> => {
    parameters.forEach(({ grad }, i) => {
      ops.sumSquares({ x: grad, out: squares, accumulate: i > 0 });
    });
    return Math.sqrt((await backend.read(squares))[0]!);
  };

  return {
    stateBytes: [...moments.values()].reduce((total, tensor) => total + byteLengthOf(tensor), 0),
    async step(learningRate) {
      const norm = await gradNorm();
      if (!Number.isFinite(norm)) return { gradNorm: norm, skipped: true };
      taken += 1;
      ops.clipScale({ sumSquares: squares, maxNorm: maxGradNorm, out: scale });
      for (const { parameter, firstMoment, secondMoment, weightDecay: decay } of slots)
        ops.adamw({
          parameter: parameter.value,
          gradient: parameter.grad,
          firstMoment,
          secondMoment,
          scale,
          learningRate,
          beta1,
          beta2,
          epsilon,
          weightDecay: decay,
          step: taken,
        });
      return { gradNorm: norm, skipped: false };
    },
    zeroGrad() {
      for (const { grad } of parameters) ops.fill({ out: grad, value: 0 });
    },
    async state() {
      const tensors: Record<string, Float32Array> = {};
      for (const [name, tensor] of moments) tensors[name] = await backend.read(tensor);
      return { step: taken, tensors };
    },
    load(state) {
      checkState(state, moments);
      for (const [name, tensor] of moments) backend.write(tensor, state.tensors[name]!);
      taken = state.step;
    },
    dispose() {
      for (const tensor of [...moments.values(), squares, scale]) backend.free(tensor);
    },
  };
}
