import { readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { QLoraError } from '@qlorajs/errors';
import type { OptimizerState } from '@qlorajs/paged-optim';
import { openSafetensors, writeSafetensors } from '@qlorajs/safetensors';
import { type FolderContent, fillFolder, writeFolderWhole } from '../io/atomic.js';
import { fileSource } from '../io/file-source.js';
import { kindOf, readJson, readText } from '../io/read.js';
import type { Figures } from './history.js';
import { parseRunState, type RunState } from './run-state.js';
import { parseTrainerState } from './trainer-state.js';

const OPTIMIZER_FILE = 'optimizer.safetensors';
const STATE_FILE = 'trainer_state.json';
const ARGS_FILE = 'training_args.json';
const RUN_FILE = 'run_state.json';
const BEST_FILE = 'best_adapter.safetensors';

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
  /** The adapter of the best evaluation, where the run will end with it. */
  readonly best: Uint8Array | null;
  readonly trainerState: string;
  readonly runState: string;
  readonly args: TrainingArgs;
}

/** Writes `checkpoint-N` whole; one of the same step gives way when the new one is complete. */
export async function writeCheckpoint(out: string, content: CheckpointContent): Promise<string> {
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
  const earlier = join(out, `.checkpoint-${content.step}.old.tmp-${process.pid}`);
  await writeFolderWhole(folder, async (temporary) => {
    await fillFolder(temporary, {
      ...content.files,
      ...(content.best && { [BEST_FILE]: content.best }),
      [OPTIMIZER_FILE]: writeSafetensors(moments, { step: String(step) }),
      [STATE_FILE]: content.trainerState,
      [RUN_FILE]: content.runState,
      [ARGS_FILE]: `${JSON.stringify(content.args, null, 2)}\n`,
    });
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

/** What resuming needs. */
export interface SavedCheckpoint {
  readonly folder: string;
  readonly optimizer: OptimizerState;
  readonly best: ReadonlyMap<string, Float32Array> | null;
  readonly figures: Figures;
  readonly state: RunState;
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
  for (const file of [OPTIMIZER_FILE, STATE_FILE, RUN_FILE, ARGS_FILE])
    if ((await kindOf(join(choice, file))) !== 'file')
      throw new QLoraError(
        'CHECKPOINT_MISSING',
        `--resume-from-checkpoint ${choice}: there is no ${file}; give a checkpoint-N folder that qlora train wrote, or auto`,
        { details: { folder: choice, file } },
      );
  return choice;
}

async function readTensors(path: string): Promise<{
  tensors: Map<string, Float32Array | Uint8Array>;
  metadata: Readonly<Record<string, string>>;
}> {
  const file = await openSafetensors(await fileSource(path));
  try {
    const tensors = new Map<string, Float32Array | Uint8Array>();
    for (const [name, { dtype }] of file.tensors)
      tensors.set(name, await (dtype === 'U8' ? file.readBytes(name) : file.readFloat32(name)));
    return { tensors, metadata: file.metadata };
  } finally {
    await file.close();
  }
}

/** Reads everything of a checkpoint but its adapter. */
export async function readCheckpoint(folder: string): Promise<SavedCheckpoint> {
  const moments = await readTensors(join(folder, OPTIMIZER_FILE));
  const best = join(folder, BEST_FILE);
  const hasBest = (await kindOf(best)) === 'file';
  const state = join(folder, RUN_FILE);
  return {
    folder,
    optimizer: {
      step: Number(moments.metadata.step),
      tensors: Object.fromEntries(moments.tensors),
    },
    best: hasBest ? ((await readTensors(best)).tensors as Map<string, Float32Array>) : null,
    figures: parseTrainerState(await readText(join(folder, STATE_FILE))),
    state: parseRunState(await readJson(state), state),
    args: (await readJson(join(folder, ARGS_FILE))) as TrainingArgs,
  };
}
