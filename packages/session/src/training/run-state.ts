import { QLoraError } from '@qlorajs/errors';
import { dropoutSeed, type LoopState } from '@qlorajs/trainer';
import type { TrainingOptions } from '../options/training-options.js';
import type { RunPlan } from './run-plan.js';

/** run_state.json of a checkpoint: where the run stands. Only `loop` is read back; the rest follows from it. */
export interface RunState {
  readonly format: 1;
  readonly loop: LoopState;
}

/** What a checkpoint says of the loop, the schedule, the generators and the data. */
export function formatRunState(options: TrainingOptions, loop: LoopState, plan: RunPlan): string {
  const next = loop.step * options.gradientAccumulationSteps;
  const state: RunState & Record<string, unknown> = {
    format: 1,
    loop,
    schedule: {
      type: plan.type,
      learning_rate: options.learningRate,
      warmup_steps: plan.warmupSteps,
      total_steps: plan.totalSteps,
    },
    // Counter-based: the next mask follows from the seed and the number of the micro-batch.
    generator: {
      seed: options.seed,
      next_micro_batch: next,
      next_dropout_seed: dropoutSeed(options.seed, next),
    },
    data_cursor: {
      epoch: Math.floor(loop.step / plan.stepsPerEpoch),
      step_in_epoch: loop.step % plan.stepsPerEpoch,
      batches_per_epoch: plan.batchesPerEpoch,
    },
    // Gradients are f32: no loss is scaled.
    loss_scale: 1,
  };
  return `${JSON.stringify(state, null, 2)}\n`;
}

/** @throws QLoraError `CHECKPOINT_BROKEN` when it is none of ours */
export function parseRunState(value: unknown, file: string): RunState {
  const state = value as Partial<RunState> | null;
  if (state?.format === 1 && Number.isSafeInteger(state.loop?.step)) return state as RunState;
  throw new QLoraError(
    'CHECKPOINT_BROKEN',
    `${file} is not a state that this version writes; resume from another checkpoint`,
    { details: { file } },
  );
}
