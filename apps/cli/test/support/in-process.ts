import { type TrainingOptions, trainingOptions, withDefaults } from '@qlorajs/session';
import type { Ui } from '../../src/report/ui.js';
import { lastingRun } from '../../src/training/lasting-run.js';
import { prepareTraining, type TrainingJob } from '../../src/training/prepare.js';
import type { RunOutcome } from '../../src/training/run.js';

/** What a run in this process came to. */
export interface Trained {
  readonly outcome: RunOutcome;
  /** Every line that a person would have seen. */
  readonly told: readonly string[];
}

/** A display that remembers its lines. */
export function recordingUi(told: string[]): Ui {
  return {
    ...{ json: false, verbose: false, quiet: false },
    info: (line) => told.push(line),
    detail: () => {},
    warn: (line) => told.push(`warning: ${line}`),
    print: () => {},
    result: () => {},
    beforeLine: null,
  };
}

const SILENT = { live: false, show: () => {}, clear: () => {} };

/**
 * `qlora train` in this process, from the sources.
 * @param change puts something else in the job's place: a model that fails, say; `nth` counts from 0 what is
 * opened anew after a lost device
 */
export async function trainHere(
  options: TrainingOptions,
  change: (job: TrainingJob, nth: number) => TrainingJob = (job) => job,
  signal: AbortSignal = new AbortController().signal,
  told: string[] = [],
): Promise<Trained> {
  const ui = recordingUi(told);
  let nth = 0;
  const prepare = async (given: TrainingOptions) => {
    const made = await prepareTraining(given, ui, SILENT, signal);
    try {
      return change(made, nth++);
    } catch (error) {
      await made.close();
      throw error;
    }
  };
  let job = await prepare(options);
  try {
    const run = await lastingRun(job, { ui, progress: SILENT, signal, prepare });
    job = run.job;
    return { outcome: run.outcome, told };
  } finally {
    await job.close();
  }
}

/** Training options with their defaults. */
export function options(given: Partial<TrainingOptions>): TrainingOptions {
  return withDefaults(trainingOptions, { threads: 1, ...given });
}

/** A job whose model does something else at every micro-batch. */
export function withModel(
  job: TrainingJob,
  forwardBackward: (
    call: number,
    original: TrainingJob['model']['forwardBackward'],
    ...args: Parameters<TrainingJob['model']['forwardBackward']>
  ) => ReturnType<TrainingJob['model']['forwardBackward']>,
): TrainingJob {
  const { model } = job;
  let call = 0;
  const original = model.forwardBackward.bind(model);
  const changed = Object.create(model, {
    forwardBackward: {
      value: (...args: Parameters<typeof original>) => forwardBackward(++call, original, ...args),
    },
    evaluate: { value: model.evaluate.bind(model) },
  }) as TrainingJob['model'];
  return { ...job, model: changed };
}
