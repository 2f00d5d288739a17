import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { QLoraError } from '@qlorajs/errors';
import type { OptimizerState } from '@qlorajs/paged-optim';
import { openSafetensors, writeSafetensors } from '@qlorajs/safetensors';
import { type FolderContent, fillFolder, writeFolderWhole } from '../io/atomic.js';
import { fileSource } from '../io/file-source.js';
import { kindOf, readJson, readText } from '../io/read.js';
import type { Figures } from './history.js';
import { parseTrainerState } from './trainer-state.js';

const OPTIMIZER_FILE = 'optimizer.safetensors';
const STATE_FILE = 'trainer_state.json';
const ARGS_FILE = 'training_args.json';

/** The options of a run, as its checkpoints keep them. */
export type TrainingArgs = Readonly<Record<string, unknown>>;

/** Steps of the checkpoints in a folder, in order. */
export async function checkpointSteps(out: string): Promise<number[]> {
  if ((await kindOf(out)) !== 'folder') return [];
  return (await readdir(out))
    .flatMap((name) => /^checkpoint-(\d+)$/.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b);
}

/** What a checkpoint is made of. */
export interface CheckpointContent {
  readonly step: number;
  /** Adapter and tokenizer files: a folder that `ask --adapter` takes. */
  readonly files: FolderContent;
  readonly optimizer: OptimizerState;
  readonly trainerState: string;
  readonly args: TrainingArgs;
}

/** Writes `checkpoint-N` whole, then removes the oldest beyond the limit. */
export async function writeCheckpoint(
  out: string,
  content: CheckpointContent,
  limit: number | undefined,
): Promise<string> {
  const folder = join(out, `checkpoint-${content.step}`);
  const { step, tensors } = content.optimizer;
  const moments = Object.fromEntries(
    Object.entries(tensors).map(([name, data]) => [
      name,
      {
        dtype: data instanceof Uint8Array ? ('U8' as const) : ('F32' as const),
        shape: [data.length],
        data,
      },
    ]),
  );
  await rm(folder, { recursive: true, force: true });
  await writeFolderWhole(folder, (temporary) =>
    fillFolder(temporary, {
      ...content.files,
      [OPTIMIZER_FILE]: writeSafetensors(moments, { step: String(step) }),
      [STATE_FILE]: content.trainerState,
      [ARGS_FILE]: `${JSON.stringify(content.args, null, 2)}\n`,
    }),
  );
  const steps = await checkpointSteps(out);
  for (const old of steps.slice(0, Math.max(0, steps.length - (limit ?? steps.length))))
    await rm(join(out, `checkpoint-${old}`), { recursive: true, force: true });
  return folder;
}

/** What resuming needs. */
export interface SavedCheckpoint {
  readonly folder: string;
  readonly optimizer: OptimizerState;
  readonly figures: Figures;
  readonly args: TrainingArgs;
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
  for (const file of [OPTIMIZER_FILE, STATE_FILE, ARGS_FILE])
    if ((await kindOf(join(choice, file))) !== 'file')
      throw new QLoraError(
        'CHECKPOINT_MISSING',
        `--resume-from-checkpoint ${choice}: there is no ${file}; give a checkpoint-N folder that qlora train wrote, or auto`,
        { details: { folder: choice, file } },
      );
  return choice;
}

/** Reads everything of a checkpoint but its adapter. */
export async function readCheckpoint(folder: string): Promise<SavedCheckpoint> {
  const file = await openSafetensors(await fileSource(join(folder, OPTIMIZER_FILE)));
  try {
    const tensors: Record<string, Float32Array | Uint8Array> = {};
    for (const [name, { dtype }] of file.tensors)
      tensors[name] = await (dtype === 'U8' ? file.readBytes(name) : file.readFloat32(name));
    return {
      folder,
      optimizer: { step: Number(file.metadata.step), tensors },
      figures: parseTrainerState(await readText(join(folder, STATE_FILE))),
      args: (await readJson(join(folder, ARGS_FILE))) as TrainingArgs,
    };
  } finally {
    await file.close();
  }
}
