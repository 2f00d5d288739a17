import { join } from 'node:path';
import type { HistoryEntry } from '@qlorajs/session';
import { INITIAL_STATE } from '@qlorajs/trainer';
import { z } from 'zod';
import { kindOf, readJson } from '../io/read.js';
import { checkpointSteps } from '../training/checkpoint.js';
import type { ProjectFolder } from './project-files.js';
import { type LogRecord, type RunReport, resultError } from './run-report.js';

const STATE_FILE = 'trainer_state.json';

const schema = z.looseObject({
  global_step: z.int(),
  epoch: z.number().nullable(),
  log_history: z.array(z.record(z.string(), z.unknown())),
});

/** trainer_state.json of a folder that transformers' Trainer wrote, or of its last checkpoint. */
async function stateFile(folder: string): Promise<string> {
  const steps = await checkpointSteps(folder);
  const places = [folder, ...steps.reverse().map((step) => join(folder, `checkpoint-${step}`))];
  for (const place of places)
    if ((await kindOf(join(place, STATE_FILE))) === 'file') return join(place, STATE_FILE);
  throw resultError(
    'RESULT_BROKEN',
    `${folder} and its checkpoints have no ${STATE_FILE}; give the whole output_dir of the run`,
    { folder },
  );
}

/** Numbers of an entry alone. */
function numbersOf(entry: Readonly<Record<string, unknown>>): HistoryEntry {
  const numbers = Object.entries(entry).filter(([, value]) => typeof value === 'number');
  return Object.fromEntries(numbers) as HistoryEntry;
}

/** What transformers' Trainer (Axolotl's) says of its run; tokens are those of the rows that were handed over. */
export async function readTrainerLog(project: ProjectFolder, folder: string): Promise<RunReport> {
  const { job, steps, rowLengths } = project;
  const file = await stateFile(folder);
  const result = schema.safeParse(await readJson(file));
  if (!result.success || result.data.global_step !== job.total_steps)
    throw resultError(
      'RESULT_BROKEN',
      `${file}: ${result.success ? `the run is at step ${result.data.global_step} of ${job.total_steps}; let it come to its end` : `this is not a state of transformers' Trainer; give the output_dir of the run`}`,
      { file },
    );
  const history = result.data.log_history.map(numbersOf);
  const seconds = history.find((entry) => 'train_runtime' in entry)?.train_runtime ?? 0;
  const tokensOf = (from: number, to: number) =>
    steps
      .filter(({ step }) => step > from && step <= to)
      .flatMap(({ micro_batches }) => micro_batches.flat())
      .reduce((sum, row) => sum + rowLengths[row], 0);
  const total = tokensOf(0, job.total_steps);
  let before = 0;
  const records = history
    .filter((entry) => 'loss' in entry)
    .map((entry): LogRecord => {
      const from = before;
      before = entry.step;
      return {
        step: entry.step,
        epoch: entry.epoch,
        loss: entry.loss,
        grad_norm: entry.grad_norm ?? null,
        learning_rate: entry.learning_rate ?? null,
        tokens: tokensOf(from, entry.step),
        tokens_per_second: seconds > 0 ? total / seconds : null,
        memory_bytes: null,
      };
    });
  if (records.length === 0)
    throw resultError(
      'RESULT_BROKEN',
      `${file} has no losses; set logging_steps and run it again`,
      {
        file,
      },
    );
  const entries = history.filter((entry) => 'loss' in entry || 'eval_loss' in entry);
  const losses = records.map(({ loss }) => loss as number);
  return {
    ...{ records, seconds, memoryBytes: 0 },
    figures: {
      globalStep: job.total_steps,
      epoch: records.at(-1)?.epoch ?? 0,
      tokensSeen: total,
      best: null,
      entries,
    },
    loop: { ...INITIAL_STATE, step: job.total_steps, lossSum: losses.reduce((a, b) => a + b, 0) },
    engine: 'Axolotl',
    versions: '',
  };
}
