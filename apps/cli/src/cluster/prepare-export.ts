import { type Backend, sizeOf } from '@qlorajs/compute';
import type { LoraAdapter } from '@qlorajs/lora';
import { createAdamW } from '@qlorajs/paged-optim';
import { phiTensors } from '@qlorajs/phi2-model';
import {
  addedIds,
  checkOptions,
  loraConfig,
  optimizerOptions,
  startAdapter,
  type TrainingArgs,
  type TrainingOptions,
} from '@qlorajs/session';
import { openBackend } from '../io/backend.js';
import { type BaseFolder, openBase } from '../io/base-folder.js';
import { folderSource } from '../io/file-source.js';
import { baseFingerprints } from '../io/fingerprint.js';
import { loadModel, openWeights } from '../model/load-model.js';
import type { Progress } from '../report/progress.js';
import type { Ui } from '../report/ui.js';
import type { SavedCheckpoint } from '../training/checkpoint.js';
import { type PreparedData, prepareData } from '../training/data.js';
import { resumedRun } from '../training/prepare.js';
import { trainingArgs } from '../training/training-args.js';

/** A run as `qlora train` would start it, without its model. */
export interface ExportedRun extends PreparedData {
  readonly options: TrainingOptions;
  readonly args: TrainingArgs;
  readonly base: BaseFolder;
  readonly baseFiles: Readonly<Record<string, string>>;
  readonly baseParameters: number;
  readonly adapter: LoraAdapter;
  readonly resumed: SavedCheckpoint | null;
  close(): Promise<void>;
}

/** Reads and checks what a run needs, as `qlora train` does, and makes its first adapter. */
export async function prepareExport(
  options: TrainingOptions,
  ui: Ui,
  progress: Progress,
  signal: AbortSignal,
): Promise<ExportedRun> {
  checkOptions(options);
  const base = await openBase(options.base, { ui, signal });
  const data = await prepareData(options, base, ui);
  const config = loraConfig(options, base, addedIds(data), ui);
  const baseFiles = await baseFingerprints(base.path);
  const args = trainingArgs(options, data.hashes, baseFiles);
  const resumed = await resumedRun(options, args, ui);
  const weights = await openWeights(base);
  let backend: Backend | null = null;
  try {
    // It holds the adapter; only DoRA needs the base itself, for the norms of its rows.
    backend = await openBackend({ backend: 'wasm', threads: config.useDora ? options.threads : 1 });
    const holder = backend;
    const from = resumed?.folder ?? options.initAdapter ?? null;
    const origin = {
      ...{ config, base, weights, seed: options.seed },
      folder: from === null ? null : folderSource(from),
      knownTokens: (data.tokenizer?.size ?? 0) - addedIds(data).length,
    };
    const rowNorms = async (names: readonly string[]) => {
      const model = await loadModel({
        ...{ backend: holder, base, weights, ui, progress },
        hold: options,
      });
      return model.rowNorms(names);
    };
    const adapter = await startAdapter(backend, origin, rowNorms, ui);
    if (resumed !== null)
      // Refuses moments that do not belong to these parameters.
      await createAdamW(backend, adapter.parameters(), optimizerOptions(options)).load(
        resumed.optimizer,
      );
    return {
      ...data,
      ...{ adapter, options, args, base, baseFiles, resumed },
      baseParameters: [...phiTensors(base.config).values()]
        .map(sizeOf)
        .reduce((sum, each) => sum + each, 0),
      close: () => holder.dispose(),
    };
  } catch (error) {
    await backend?.dispose();
    throw error;
  } finally {
    await weights.close();
  }
}
