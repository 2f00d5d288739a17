import { readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { QLoraError } from '@qlorajs/errors';
import {
  CHECKPOINT_FILES,
  type CheckpointContent,
  type CheckpointState,
  checkpointFiles,
  readCheckpoint,
} from '@qlorajs/session';
import { fillFolder, writeFolderWhole } from '../io/atomic.js';
import { folderSource } from '../io/file-source.js';
import { kindOf } from '../io/read.js';

/** Steps of the checkpoints in a folder, in order. */
export async function checkpointSteps(out: string): Promise<number[]> {
  if ((await kindOf(out)) !== 'folder') return [];
  return (await readdir(out))
    .flatMap((name) => /^checkpoint-(\d+)$/.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b);
}

/** Writes `checkpoint-N` whole; one of the same step gives way when the new one is complete. */
export async function writeCheckpoint(out: string, content: CheckpointContent): Promise<string> {
  const folder = join(out, `checkpoint-${content.step}`);
  const earlier = join(out, `.checkpoint-${content.step}.old.tmp-${process.pid}`);
  await writeFolderWhole(folder, async (temporary) => {
    await fillFolder(temporary, checkpointFiles(content));
    if ((await kindOf(folder)) === 'folder') await rename(folder, earlier);
  });
  await rm(earlier, { recursive: true, force: true });
  return folder;
}

/** Removes the oldest checkpoints beyond the limit; the best one stays (transformers' rule). */
export async function rotateCheckpoints(
  out: string,
  limit: number | undefined,
  bestStep: number | null,
): Promise<void> {
  if (limit === undefined) return;
  const steps = await checkpointSteps(out);
  const inOrder = [
    ...steps.filter((step) => step !== bestStep),
    ...steps.filter((step) => step === bestStep),
  ];
  // The newest stays too: a limit of 1 keeps two when the newest is not the best.
  const newest = steps.at(-1);
  for (const old of inOrder.slice(0, Math.max(0, steps.length - limit)))
    if (old !== newest) await rm(join(out, `checkpoint-${old}`), { recursive: true, force: true });
}

/** A checkpoint that a run goes on from. */
export interface SavedCheckpoint extends CheckpointState {
  readonly folder: string;
}

/**
 * The checkpoint to resume from.
 * @param choice a folder, or `auto`: the newest in `out`, null where there is none
 * @throws QLoraError `CHECKPOINT_MISSING` for a folder that is no checkpoint
 */
export async function findCheckpoint(choice: string, out: string): Promise<string | null> {
  if (choice === 'auto') {
    const step = (await checkpointSteps(out)).at(-1);
    return step === undefined ? null : join(out, `checkpoint-${step}`);
  }
  for (const file of CHECKPOINT_FILES)
    if ((await kindOf(join(choice, file))) !== 'file')
      throw new QLoraError(
        'CHECKPOINT_MISSING',
        `--resume-from-checkpoint ${choice}: there is no ${file}; give a checkpoint-N folder that qlora train wrote, or auto`,
        { details: { folder: choice, file } },
      );
  return choice;
}

/** Reads everything of a checkpoint but its adapter. */
export async function openCheckpointFolder(folder: string): Promise<SavedCheckpoint> {
  return { folder, ...(await readCheckpoint(folderSource(folder))) };
}
