import { isQLoraError, type QLoraError } from '@qlorajs/errors';
import type { TrainingOptions } from '@qlorajs/session';
import type { Progress } from '../report/progress.js';
import type { Ui } from '../report/ui.js';
import { prepareTraining, type TrainingJob } from './prepare.js';
import { type RunOutcome, TrainingRun } from './run.js';

/** A run that ended, and the job that it ended with: another one where a device was lost. */
export interface LastingRun {
  readonly outcome: RunOutcome;
  /** Still open. */
  readonly job: TrainingJob;
}

/** What a run is made with. */
export interface LastingRunArgs {
  readonly ui: Ui;
  readonly progress: Progress;
  readonly signal: AbortSignal;
  /** Held-out loss before the first step, where it was measured. */
  readonly lossBefore?: number | null;
  /** Makes the job that goes on after a loss. */
  readonly prepare?: (options: TrainingOptions) => Promise<TrainingJob>;
}

/** The driver took the device back; another one may be had. */
function isLost(error: unknown): error is QLoraError {
  return (
    isQLoraError(error) &&
    (error.code === 'WEBGPU_DEVICE_LOST' || error.code === 'GPUJS_CONTEXT_LOST')
  );
}

/** With `auto_fit`, after a loss for want of memory: half of the rows that were computed at one time. */
function fewerRows({ options, rowsAtOnce }: TrainingJob, { details }: QLoraError): number | null {
  const rows = rowsAtOnce ?? options.perDeviceTrainBatchSize;
  return details.outOfMemory && options.autoFit && rows > 1 ? Math.ceil(rows / 2) : null;
}

/** A device could not be opened. */
function isDeviceTrouble(error: unknown): error is QLoraError {
  return isQLoraError(error) && /^(WEBGPU|GPUJS)_/.test(error.code);
}

/** Opens everything anew: the same backend, or where it gives no device, the CPU engine. */
async function reopen(
  { options, asked }: TrainingJob,
  resumeFromCheckpoint: string,
  onCpu: boolean,
  { ui, progress, signal, prepare }: LastingRunArgs,
): Promise<TrainingJob> {
  const make =
    prepare ?? ((given: TrainingOptions) => prepareTraining(given, ui, progress, signal));
  const again = { ...options, resumeFromCheckpoint };
  const cpu = { ...again, backend: 'wasm', vramBudget: asked.vramBudget } as const;
  if (!onCpu)
    try {
      return await make(again);
    } catch (error) {
      if (!isDeviceTrouble(error)) throw error;
      ui.warn(`there is no new device: ${error.message.split('; ')[0]}`);
    }
  ui.warn(
    'the CPU engine goes on, slower; Ctrl-C stops it, and --resume-from-checkpoint auto goes on another time',
  );
  return make(cpu);
}

/**
 * Trains to the end, through losses of the device: each time everything is opened anew and the run goes on
 * from its last checkpoint, in this process. A second loss without a checkpoint in between leads to the CPU
 * engine.
 * @param first is closed when another one takes its place, and on errors
 */
export async function lastingRun(first: TrainingJob, args: LastingRunArgs): Promise<LastingRun> {
  const { ui, progress, signal, lossBefore = null } = args;
  let job = first;
  let lastLoss: { readonly checkpoint: string | null } | null = null;
  for (;;) {
    try {
      const outcome = await new TrainingRun(job, ui, progress).run(signal, lossBefore);
      return { outcome, job };
    } catch (error) {
      await job.close();
      if (!isLost(error) || signal.aborted) throw error;
      const checkpoint = error.details.checkpoint as string | null;
      const rows = fewerRows(job, error);
      const isStuck = rows === null && lastLoss !== null && lastLoss.checkpoint === checkpoint;
      if (isStuck && job.options.backend === 'wasm') throw error;
      lastLoss = { checkpoint };
      const from = checkpoint === null ? 'the beginning, there is no checkpoint yet' : checkpoint;
      const how = rows === null ? '' : `, with ${rows} ${rows === 1 ? 'row' : 'rows'} at a time`;
      ui.warn(`${error.message.split('; ')[0]}; the run goes on from ${from}${how}`);
      const rowsAtOnce = rows ?? job.rowsAtOnce;
      job = { ...(await reopen(job, checkpoint ?? 'auto', isStuck, args)), rowsAtOnce };
    }
  }
}
