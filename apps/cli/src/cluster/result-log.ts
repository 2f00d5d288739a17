import { join } from 'node:path';
import { parseRunState, parseTrainerState } from '@qlorajs/session';
import { z } from 'zod';
import { kindOf, readJson, readText } from '../io/read.js';
import { LOG_FILE } from '../training/run-log.js';
import type { ProjectFolder } from './project-files.js';
import { type LogRecord, type RunReport, resultError } from './run-report.js';

const reportSchema = z.object({
  format: z.literal(1),
  run: z.string(),
  seconds: z.number().nonnegative(),
  processes: z.int().positive(),
  device: z.string(),
  dtype: z.string(),
  memory_bytes: z.number().nonnegative(),
  versions: z.record(z.string(), z.string()),
});

const recordSchema = z.looseObject({
  step: z.int().positive(),
  epoch: z.number().nonnegative(),
  loss: z.number().nullable(),
  grad_norm: z.number().nullable(),
  learning_rate: z.number(),
  tokens: z.int().positive(),
  tokens_per_second: z.number().nonnegative(),
  memory_bytes: z.number().nonnegative(),
});

function parsed<T>(schema: z.ZodType<T>, value: unknown, where: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [{ path, message }] = result.error.issues;
  throw resultError(
    'RESULT_BROKEN',
    `${where} is not what the project's train.py writes (${path.join('.')}: ${message}); run the project again`,
    { where },
  );
}

function parseLine(line: string, where: string): LogRecord {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw resultError('RESULT_BROKEN', `${where} is not JSON; run the project again`, { where });
  }
  return parsed(recordSchema, value, where) as LogRecord;
}

/** The lines of the log; steps rise, and their learning rates are those that were handed over. */
function parseLog({ job, steps }: ProjectFolder, text: string, file: string): LogRecord[] {
  const rates = new Map(steps.map(({ step, learning_rate }) => [step, learning_rate]));
  let before = 0;
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line, i) => {
      const where = `${file}:${i + 1}`;
      const record = parseLine(line, where);
      const { step, learning_rate } = record as { step: number; learning_rate: number };
      if (step <= before || step > job.total_steps)
        throw resultError(
          'RESULT_BROKEN',
          `${where}: step ${step} follows step ${before} of ${job.total_steps}; run the project again`,
          { where },
        );
      const rate = rates.get(step);
      if (rate !== undefined && Math.abs(rate - learning_rate) > 1e-9 * rate)
        throw resultError(
          'RESULT_MISMATCH',
          `${where}: learning_rate is ${learning_rate}, and the project's schedule has ${rate} at step ${step}; give the result of this project`,
          { where },
        );
      before = step;
      return record;
    });
}

/** What the project's own train.py says of its run. */
export async function readOwnLog(project: ProjectFolder, folder: string): Promise<RunReport> {
  const { job } = project;
  const at = (name: string) => join(folder, name);
  for (const name of ['run.json', 'run_state.json', 'trainer_state.json', LOG_FILE])
    if ((await kindOf(at(name))) !== 'file')
      throw resultError(
        'RESULT_BROKEN',
        `${folder} has no ${name}; give the whole folder that the project's train.py wrote`,
        { folder, file: name },
      );
  const report = parsed(reportSchema, await readJson(at('run.json')), at('run.json'));
  if (report.run !== job.run)
    throw resultError(
      'RESULT_MISMATCH',
      `${folder} is the result of another run (${report.run.slice(0, 12)}) than ${project.path} (${job.run.slice(0, 12)}); give the project that it was trained with`,
      { result: report.run, project: job.run },
    );
  const records = parseLog(project, await readText(at(LOG_FILE)), at(LOG_FILE));
  const figures = parseTrainerState(await readText(at('trainer_state.json')));
  const { loop } = parseRunState(await readJson(at('run_state.json')), at('run_state.json'));
  const last = records.at(-1)?.step ?? 0;
  const patience = Number(job.options.early_stopping_patience ?? 0);
  const stopped = patience > 0 && loop.evaluationsSinceBest >= patience;
  if (loop.step !== figures.globalStep || (loop.step !== job.total_steps && !stopped))
    throw resultError(
      'RESULT_BROKEN',
      `${folder} ends at step ${loop.step} of ${job.total_steps}; run the project to its end`,
      { step: loop.step, logged: last, total: job.total_steps },
    );
  const versions = Object.entries(report.versions).map(([name, version]) => `${name} ${version}`);
  return {
    ...{ records, figures, loop, seconds: report.seconds, memoryBytes: report.memory_bytes },
    engine: `${report.processes} ${report.processes === 1 ? 'process' : 'processes'} on ${report.device} in ${report.dtype}`,
    versions: versions.join(', '),
  };
}
