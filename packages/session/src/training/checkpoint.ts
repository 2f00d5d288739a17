import type { OptimizerState } from '@qlorajs/paged-optim';
import { type FolderSource, openSafetensors, writeSafetensors } from '@qlorajs/safetensors';
import { jsonIfThere, textIfThere } from '../read-folder.js';
import type { FolderContent } from './adapter-files.js';
import type { Figures } from './history.js';
import { parseRunState, type RunState } from './run-state.js';
import { parseTrainerState } from './trainer-state.js';

const OPTIMIZER_FILE = 'optimizer.safetensors';
const STATE_FILE = 'trainer_state.json';
const ARGS_FILE = 'training_args.json';
const RUN_FILE = 'run_state.json';
const BEST_FILE = 'best_adapter.safetensors';

/** Files that every checkpoint has beside its adapter. */
export const CHECKPOINT_FILES = [OPTIMIZER_FILE, STATE_FILE, RUN_FILE, ARGS_FILE] as const;

/** The options of a run, as its checkpoints keep them. */
export type TrainingArgs = Readonly<Record<string, unknown>>;

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

/** The files of a `checkpoint-N` folder. */
export function checkpointFiles(content: CheckpointContent): FolderContent {
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
  return {
    ...content.files,
    ...(content.best && { [BEST_FILE]: content.best }),
    [OPTIMIZER_FILE]: writeSafetensors(moments, { step: String(step) }),
    [STATE_FILE]: content.trainerState,
    [RUN_FILE]: content.runState,
    [ARGS_FILE]: `${JSON.stringify(content.args, null, 2)}\n`,
  };
}

/** What resuming needs. */
export interface CheckpointState {
  readonly optimizer: OptimizerState;
  readonly best: ReadonlyMap<string, Float32Array> | null;
  readonly figures: Figures;
  readonly state: RunState;
  readonly args: TrainingArgs;
}

async function readTensors(
  folder: FolderSource,
  name: string,
): Promise<{
  tensors: Map<string, Float32Array | Uint8Array>;
  metadata: Readonly<Record<string, string>>;
}> {
  const file = await openSafetensors(await folder.open(name));
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
export async function readCheckpoint(folder: FolderSource): Promise<CheckpointState> {
  const moments = await readTensors(folder, OPTIMIZER_FILE);
  const best = (await folder.has(BEST_FILE)) ? await readTensors(folder, BEST_FILE) : null;
  return {
    optimizer: {
      step: Number(moments.metadata.step),
      tensors: Object.fromEntries(moments.tensors),
    },
    best: best && (best.tensors as Map<string, Float32Array>),
    figures: parseTrainerState((await textIfThere(folder, STATE_FILE)) ?? ''),
    state: parseRunState(await jsonIfThere(folder, RUN_FILE), `${folder.name}/${RUN_FILE}`),
    args: ((await jsonIfThere(folder, ARGS_FILE)) ?? {}) as TrainingArgs,
  };
}
