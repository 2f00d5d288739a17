import { type TrainingOptions, trainingOptions, withDefaults } from '@qlorajs/session';
import type { Ui } from '../../src/report/ui.js';
import { prepareTraining, type TrainingJob } from '../../src/training/prepare.js';
import { type RunOutcome, TrainingRun } from '../../src/training/run.js';

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

const SILENT = { show: () => {}, clear: () => {} };

/**
 * `qlora train` in this process, from the sources.
 * @param change puts something else in the job's place: a model that fails, say
 */
export async function trainHere(
  options: TrainingOptions,
  change: (job: TrainingJob) => TrainingJob = (job) => job,
  signal: AbortSignal = new AbortController().signal,
  told: string[] = [],
): Promise<Trained> {
  const ui = recordingUi(told);
  const job = await prepareTraining(options, ui, SILENT, signal);
  try {
    return { outcome: await new TrainingRun(change(job), ui, SILENT).run(signal), told };
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
