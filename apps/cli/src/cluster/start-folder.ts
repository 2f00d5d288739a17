import { readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import {
  adapterFiles,
  type Figures,
  type FolderContent,
  formatRunState,
  formatTrainerState,
  type RunPlan,
  stateOptions,
} from '@qlorajs/session';
import { INITIAL_STATE } from '@qlorajs/trainer';
import { kindOf, readBytes, readText } from '../io/read.js';
import { LOG_FILE, linesUpTo } from '../training/run-log.js';
import type { ExportedRun } from './prepare-export.js';

const NO_FIGURES: Figures = { globalStep: 0, epoch: 0, tokensSeen: 0, best: null, entries: [] };

/** The log of the run that a checkpoint belongs to, up to it. */
async function earlierLog(checkpoint: string, step: number): Promise<FolderContent> {
  const file = join(dirname(checkpoint), LOG_FILE);
  if ((await kindOf(file)) !== 'file') return {};
  const lines = linesUpTo(await readText(file), step);
  return { [LOG_FILE]: lines.map((line) => `${line}\n`).join('') };
}

/**
 * `start/` of an exported project, in the layout of a checkpoint: what the run begins with, or the
 * files of the checkpoint that it goes on from, its optimizer's moments among them.
 */
export async function startFolder(run: ExportedRun, plan: RunPlan): Promise<FolderContent> {
  const { options, resumed, args } = run;
  const argsFile = { 'training_args.json': `${JSON.stringify(args, null, 2)}\n` };
  if (resumed === null)
    return {
      ...(await adapterFiles(run)),
      ...argsFile,
      'run_state.json': formatRunState(options, INITIAL_STATE, plan),
      'trainer_state.json': formatTrainerState(NO_FIGURES, stateOptions(options, plan, 0), {
        ...{ loop: INITIAL_STATE, bestFolder: null, summary: null },
      }),
    };
  const files: Record<string, Uint8Array> = {};
  for (const name of (await readdir(resumed.folder)).sort())
    if ((await kindOf(join(resumed.folder, name))) === 'file')
      files[name] = await readBytes(join(resumed.folder, name));
  const log = await earlierLog(resumed.folder, resumed.state.loop.step);
  return { ...files, ...log, ...argsFile };
}
