import {
  type DecayOptions,
  planSteps,
  type ScheduleType,
  type StepPlan,
  warmupSteps,
} from '@qlorajs/trainer';
import type { TrainingOptions } from '../options/training-options.js';

/** How many steps a run takes, and on which schedule. */
export interface RunPlan extends StepPlan {
  readonly type: ScheduleType;
  readonly warmupSteps: number;
  readonly decay: DecayOptions;
}

function scheduleType(name: TrainingOptions['lrSchedulerType']): ScheduleType {
  if (name === 'wsd') return 'warmup_stable_decay';
  return name === 'constant_with_warmup' ? 'constant' : name;
}

/** @throws QLoraError `TRAINER_OPTION` */
export function planRun(options: TrainingOptions, batchesPerEpoch: number): RunPlan {
  const plan = planSteps({
    batchesPerEpoch,
    gradientAccumulationSteps: options.gradientAccumulationSteps,
    epochs: options.numTrainEpochs,
    maxSteps: options.maxSteps,
  });
  return {
    ...plan,
    type: scheduleType(options.lrSchedulerType),
    warmupSteps: warmupSteps(options.warmupSteps, options.warmupRatio, plan.totalSteps),
    decay: {
      steps: options.numDecaySteps ?? Math.ceil(plan.totalSteps / 10),
      type: options.decayType,
      minRatio: options.minLrRatio,
    },
  };
}
