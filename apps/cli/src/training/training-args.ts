import { createHash } from 'node:crypto';
import { QLoraError } from '@qlorajs/errors';
import type { TrainingOptions } from '../options/training-options.js';
import type { TrainingArgs } from './checkpoint.js';

/** Options that a resumed run must share with the one that it goes on with. */
const IDENTITY = [
  'base',
  'r',
  'loraAlpha',
  'loraDropout',
  'targetModules',
  'rankPattern',
  'alphaPattern',
  'useRslora',
  'maxSeqLength',
  'truncation',
  'packing',
  'trainOn',
  'shuffle',
  'evalSplit',
  'perDeviceTrainBatchSize',
  'gradientAccumulationSteps',
  'loadIn4bit',
  'bnb4bitUseDoubleQuant',
  'seed',
  'optim',
] as const satisfies readonly (keyof TrainingOptions)[];

/** Options that shape the learning rate: another value is a choice, but not the same run. */
const SCHEDULE = [
  'learningRate',
  'lrSchedulerType',
  'warmupSteps',
  'warmupRatio',
  'numTrainEpochs',
  'maxSteps',
] as const satisfies readonly (keyof TrainingOptions)[];

/** What a checkpoint records of the options and of the data. */
export function trainingArgs(options: TrainingOptions, data: Uint8Array): TrainingArgs {
  const dataSha256 = createHash('sha256').update(data).digest('hex');
  return { ...options, dataSha256 };
}

function changed(keys: readonly string[], saved: TrainingArgs, now: TrainingArgs): string[] {
  const text = (value: unknown) => JSON.stringify(value) ?? 'unset';
  return keys
    .filter((key) => text(saved[key]) !== text(now[key]))
    .map((key) => `${key} was ${text(saved[key])} and is ${text(now[key])}`);
}

/**
 * Compares a run with the one that it resumes.
 * @returns differences of the schedule, to be told
 * @throws QLoraError `RESUME_MISMATCH` when another run would come of it
 */
export function checkSameRun(saved: TrainingArgs, now: TrainingArgs): string[] {
  const problems = changed([...IDENTITY, 'dataSha256'], saved, now);
  if (problems.length > 0)
    throw new QLoraError(
      'RESUME_MISMATCH',
      `this is not the run that the checkpoint belongs to: ${problems.join('; ')}; give the same options and data, or start anew without --resume-from-checkpoint`,
      { details: { problems } },
    );
  return changed(SCHEDULE, saved, now);
}
