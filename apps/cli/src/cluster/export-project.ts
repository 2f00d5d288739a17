import { createHash } from 'node:crypto';
import { cp, mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { type FolderContent, isHubId, optimizerOptions, planRun } from '@qlorajs/session';
import { INITIAL_STATE } from '@qlorajs/trainer';
import { fillFolder, placeFiles } from '../io/atomic.js';
import { VERSION } from '../version.js';
import { engineFiles } from './engine-files.js';
import { type Job, jobOptions, type Target } from './job.js';
import type { ExportedRun } from './prepare-export.js';
import { recordSteps } from './record-steps.js';
import { jsonLines, RowTable } from './row-table.js';
import { startFolder } from './start-folder.js';

/** How a run is handed over. */
export interface ExportChoice {
  readonly to: Target;
  /** Of Ray, unless it is told otherwise. */
  readonly workers: number;
  /** The base goes into the project, too. */
  readonly copyBase: boolean;
}

function sha256(content: string | Uint8Array): string {
  return createHash('sha256').update(content).digest('hex');
}

function hashes(files: FolderContent, folder = ''): Record<string, string> {
  return Object.fromEntries(
    Object.entries(files).map(([name, content]) => [folder + name, sha256(content)]),
  );
}

/** What is trained, and how AdamW treats it. */
function parametersOf({ adapter, options }: ExportedRun): Job['parameters'] {
  const { decays, rates } = optimizerOptions(options);
  const [first, ...rest] = adapter.parameters().map(({ name, value }) => ({
    name,
    shape: [...value.shape],
    weight_decay: decays!(name) ? options.weightDecay : 0,
    rate: rates!(name),
  }));
  return [first, ...rest];
}

/** Where the engine finds the base: the Hub, if it comes from there, else its folder. */
function placeOf({ name, path }: ExportedRun['base']): string {
  return isHubId(name) && path !== name ? name : resolve(path);
}

/** One id for one run, wherever it is exported to. */
function runIdOf({ options, files }: Pick<Job, 'options' | 'files'>): string {
  // It records where things lie, too.
  const { 'start/training_args.json': _, ...shaping } = files;
  const { data, eval_data, init_adapter, ...rest } = options;
  return sha256(JSON.stringify({ options: rest, files: shaping }));
}

/** Everything of a project but the base. */
export interface Project {
  readonly job: Job;
  readonly files: FolderContent;
  readonly start: FolderContent;
}

/** Writes a run down: rows, steps, the adapter and optimizer it starts with, and code that takes them. */
export async function describeProject(run: ExportedRun, choice: ExportChoice): Promise<Project> {
  const { options, base, train, evaluation, tokenizer } = run;
  const plan = planRun(options, train.batchesPerEpoch);
  const rows = new RowTable(train);
  const loop = run.resumed?.state.loop ?? INITIAL_STATE;
  const steps = await recordSteps(options, train, plan, rows, loop);
  const start = await startFolder(run, plan);
  const data: FolderContent = {
    'rows.jsonl': jsonLines(rows.rows),
    'steps.jsonl': jsonLines(steps),
    ...(evaluation && { 'eval_rows.jsonl': jsonLines(new RowTable(evaluation).rows) }),
  };
  const shaping = {
    options: jobOptions(options),
    files: { ...hashes(data), ...hashes(start, 'start/') },
  };
  const job: Job = {
    format: 1,
    version: VERSION,
    target: choice.to,
    run: runIdOf(shaping),
    base: {
      name: base.name,
      path: choice.copyBase ? 'base' : placeOf(base),
      parameters: run.baseParameters,
      files: { ...run.baseFiles },
    },
    ...shaping,
    workers: choice.workers,
    total_steps: plan.totalSteps,
    batches_per_epoch: plan.batchesPerEpoch,
    examples: run.examples,
    pad_id: tokenizer?.padId ?? 0,
    first_step: loop.step,
    parameters: parametersOf(run),
  };
  const engine = await engineFiles(job, { rows: rows.rows, steps, run });
  const files = { ...data, ...engine, 'job.json': `${JSON.stringify(job, null, 2)}\n` };
  return { job, files, start };
}

/** Puts a project into a folder; job.json comes last. */
export async function writeProject(
  project: Project,
  base: string | null,
  out: string,
): Promise<void> {
  await placeFiles(out, 'job.json', async (folder) => {
    await fillFolder(folder, project.files);
    await mkdir(join(folder, 'start'));
    await fillFolder(join(folder, 'start'), project.start);
    if (base !== null) await cp(base, join(folder, 'base'), { recursive: true });
  });
}
