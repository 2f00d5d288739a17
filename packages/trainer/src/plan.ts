import { QLoraError } from '@qlorajs/errors';

/** How many optimizer steps a run takes. */
export interface StepPlan {
  /** Micro-batches of an epoch. */
  readonly batchesPerEpoch: number;
  /** Optimizer steps of an epoch; the last may hold fewer micro-batches. */
  readonly stepsPerEpoch: number;
  readonly totalSteps: number;
}

/**
 * Counts steps as transformers' Trainer does: an incomplete window at the end of an epoch is a step,
 * and `maxSteps` above 0 overrides the epochs.
 * @throws QLoraError `TRAINER_OPTION` when there is nothing to train on or a count is not positive.
 */
export function planSteps(options: {
  readonly batchesPerEpoch: number;
  readonly gradientAccumulationSteps: number;
  readonly epochs: number;
  readonly maxSteps: number;
}): StepPlan {
  const { batchesPerEpoch, gradientAccumulationSteps, epochs, maxSteps } = options;
  if (batchesPerEpoch < 1)
    throw new QLoraError(
      'TRAINER_OPTION',
      'there are no batches to train on; give at least one row',
    );
  if (!Number.isInteger(gradientAccumulationSteps) || gradientAccumulationSteps < 1)
    throw new QLoraError('TRAINER_OPTION', 'gradient_accumulation_steps must be an integer from 1');
  if (maxSteps <= 0 && !(epochs > 0))
    throw new QLoraError('TRAINER_OPTION', 'num_train_epochs must be above 0 (or give max_steps)');
  const stepsPerEpoch = Math.ceil(batchesPerEpoch / gradientAccumulationSteps);
  const totalSteps = maxSteps > 0 ? maxSteps : Math.ceil(epochs * stepsPerEpoch);
  return { batchesPerEpoch, stepsPerEpoch, totalSteps };
}
