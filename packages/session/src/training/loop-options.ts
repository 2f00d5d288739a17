import type { Batch } from '@qlorajs/dataset';
import type { Optimizer } from '@qlorajs/paged-optim';
import type { BatchSource, LoopState, TrainerOptions } from '@qlorajs/trainer';
import type { TrainingOptions } from '../options/training-options.js';
import type { RunPlan } from './run-plan.js';
import type { Trainable } from './trainable.js';

/** A run that is ready to begin. */
export interface PreparedLoop {
  readonly options: TrainingOptions;
  readonly plan: RunPlan;
  readonly model: Trainable;
  readonly optimizer: Optimizer;
  readonly train: BatchSource<Batch>;
  readonly evaluation: BatchSource<Batch> | null;
  readonly resume: LoopState;
  readonly signal: AbortSignal;
}

/** Which steps a run takes, and at what rates. */
export function stepOptions(options: TrainingOptions, plan: RunPlan) {
  return {
    learningRate: options.learningRate,
    schedule: plan.type,
    warmupSteps: plan.warmupSteps,
    decay: plan.decay,
    epochs: options.numTrainEpochs,
    maxSteps: options.maxSteps,
    gradientAccumulationSteps: options.gradientAccumulationSteps,
    seed: options.seed,
  };
}

/** The settings of the loop, from a run's options. */
export function loopOptions(prepared: PreparedLoop): TrainerOptions<Batch> {
  const { options, plan, model, optimizer, train, evaluation, resume, signal } = prepared;
  return {
    ...{ model, train, resume, signal },
    optimizer: model.stepping(optimizer),
    mend: (error) => model.mend(error),
    evaluation: evaluation ?? undefined,
    ...stepOptions(options, plan),
    evalSteps: options.evalSteps,
    saveSteps: options.saveSteps,
    earlyStoppingPatience: options.earlyStoppingPatience,
    maxSkippedSteps: options.maxSkippedSteps,
  };
}

/** Whether a run ends with the adapter of its best evaluation. */
export function endsWithBest(
  options: Pick<TrainingOptions, 'loadBestModelAtEnd' | 'earlyStoppingPatience'>,
): boolean {
  return options.loadBestModelAtEnd || options.earlyStoppingPatience > 0;
}
