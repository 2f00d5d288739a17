import { join } from 'node:path';
import { type Backend, sizeOf } from '@qlorajs/compute';
import type { PlannedProgram, WebGpuBackend } from '@qlorajs/compute-webgpu';
import type { LoraAdapter } from '@qlorajs/lora';
import { createAdamW, type Optimizer } from '@qlorajs/paged-optim';
import { type PhiModel, phiTensors } from '@qlorajs/phi2-model';
import {
  adapterParameters,
  addedIds,
  checkOptions,
  createPagers,
  loraConfig,
  maxSeqLength,
  optimizerOptions,
  type Pagers,
  startAdapter,
  type TrainingArgs,
  type TrainingOptions,
} from '@qlorajs/session';
import { openBackend } from '../io/backend.js';
import { type BaseFolder, openBase } from '../io/base-folder.js';
import { folderSource } from '../io/file-source.js';
import { baseFingerprints } from '../io/fingerprint.js';
import { type OutputFolder, openOutput } from '../io/output-folder.js';
import { PageFile } from '../io/page-file.js';
import { kindOf } from '../io/read.js';
import { loadModel, openWeights } from '../model/load-model.js';
import { fitRun } from '../planning/fit-run.js';
import type { Progress } from '../report/progress.js';
import type { Ui } from '../report/ui.js';
import { findCheckpoint, openCheckpointFolder, type SavedCheckpoint } from './checkpoint.js';
import { type Arrange, type PreparedData, prepareData } from './data.js';
import { checkSameRun, trainingArgs } from './training-args.js';

/** A run that is ready to start. */
export interface TrainingJob extends PreparedData {
  /** Those of the run: `auto_fit` may have changed what was asked for. */
  readonly options: TrainingOptions;
  readonly asked: TrainingOptions;
  readonly args: TrainingArgs;
  readonly base: BaseFolder;
  readonly backend: Backend;
  readonly pagers: Pagers;
  readonly model: PhiModel;
  readonly adapter: LoraAdapter;
  readonly optimizer: Optimizer;
  readonly output: OutputFolder;
  readonly resumed: SavedCheckpoint | null;
  readonly baseParameters: number;
  readonly adapterParameters: number;
  /** Rows of a micro-batch that are computed at one time at most, where memory ran out before. */
  readonly rowsAtOnce?: number;
  close(): Promise<void>;
}

async function openRunFolder(
  options: TrainingOptions,
  checkpoint: string | null,
  parameters: number,
): Promise<OutputFolder> {
  const { out, overwrite, resumeFromCheckpoint } = options;
  const isComplete = (await kindOf(join(out, 'adapter_config.json'))) === 'file';
  const restarts = resumeFromCheckpoint === 'auto' && !isComplete;
  return openOutput(out, {
    // The adapter, and a checkpoint with two moments beside it.
    bytes: parameters * 4 * 5,
    reuse: overwrite || checkpoint !== null || restarts,
    remedy: 'give another --out, --overwrite, or --resume-from-checkpoint auto to go on with it',
  });
}

/** The checkpoint to go on with, if there is one and it belongs to this run. */
export async function resumedRun(
  options: TrainingOptions,
  args: TrainingArgs,
  ui: Ui,
): Promise<SavedCheckpoint | null> {
  if (options.resumeFromCheckpoint === undefined) return null;
  const folder = await findCheckpoint(options.resumeFromCheckpoint, options.out);
  if (folder === null) {
    ui.info(`${options.out} has no checkpoint: the run starts at its beginning`);
    return null;
  }
  const saved = await openCheckpointFolder(folder);
  for (const difference of checkSameRun(saved.args, args)) ui.warn(`resumed run: ${difference}`);
  ui.info(`going on after step ${saved.figures.globalStep} of ${folder}`);
  return saved;
}

/**
 * Reads and checks everything a run needs, in the order that finds mistakes cheaply: options, base,
 * data, weights' headers, output folder; then loads the model. What fails leaves nothing behind.
 * @param arrange which rows of the files count, and in which order (default: as they are)
 */
export async function prepareTraining(
  asked: TrainingOptions,
  ui: Ui,
  progress: Progress,
  signal: AbortSignal,
  arrange?: Arrange,
): Promise<TrainingJob> {
  checkOptions(asked);
  const base = await openBase(asked.base, { ui, signal });
  const askedData = await prepareData(asked, base, ui, arrange);
  const config = loraConfig(asked, base, addedIds(askedData), ui);
  let backend = await openBackend(asked, ui);
  const closers: (() => Promise<unknown>)[] = [() => backend.dispose()];
  const close = async () => {
    for (const each of closers.splice(0)) await each();
  };
  try {
    const length = maxSeqLength(asked.maxSeqLength, base);
    const planned = { options: asked, config: base.config, lora: config, backend, length };
    const programs: PlannedProgram[] = [];
    const onProgram = (program: PlannedProgram) => programs.push(program);
    const options = await fitRun({ ...planned, data: askedData, onProgram }, ui);
    if (options.vramBudget !== asked.vramBudget) {
      // Pages move under a limit of the engine.
      await backend.dispose();
      backend = await openBackend(options, ui);
    }
    // Compiled while the weights load; what fails is compiled again, and told, where it is needed. A GPU in
    // software would take the cores from the loading.
    if ('prepare' in backend && !backend.info.software)
      (backend as WebGpuBackend).prepare(programs).catch(() => {});
    const data = options === asked ? askedData : await prepareData(options, base, ui, arrange);
    const args = trainingArgs(options, data.hashes, await baseFingerprints(base.path));
    const resumed = await resumedRun(options, args, ui);
    const weights = await openWeights(base);
    closers.unshift(() => weights.close());
    const parameters = adapterParameters(config, base);
    const output = await openRunFolder(options, resumed?.folder ?? null, parameters);
    closers.push(() => output.discardIfEmpty());
    const knownTokens = (data.tokenizer?.size ?? 0) - addedIds(data).length;
    const { offloadFolder } = options;
    const files: PageFile[] = [];
    if (offloadFolder !== undefined)
      for (const name of ['a', 'b']) files.push(await PageFile.create(offloadFolder, name));
    closers.push(async () => Promise.all(files.map((file) => file.remove())));
    const unused = [...files];
    const pagers = createPagers(
      backend,
      options,
      files.length > 0 ? () => unused.pop()! : undefined,
    );
    const hold = options;
    const pager = pagers.blocks;
    const model = await loadModel({ backend, base, weights, hold, ui, progress, signal, pager });
    const path = resumed?.folder ?? options.initAdapter;
    const folder = path === undefined ? null : folderSource(path);
    const origin = { config, folder, base, weights, knownTokens, seed: options.seed };
    const adapter = await startAdapter(backend, origin, (names) => model.rowNorms(names), ui);
    model.attach(adapter);
    const optimizer = createAdamW(backend, adapter.parameters(), {
      ...optimizerOptions(options),
      pager: pagers.states,
    });
    if (resumed !== null) await optimizer.load(resumed.optimizer);
    const sizes = adapter.parameters().map(({ value }) => value.size);
    return {
      ...{
        options,
        asked,
        args,
        base,
        backend,
        pagers,
        model,
        adapter,
        optimizer,
        output,
        resumed,
        close,
      },
      ...data,
      baseParameters: sum([...phiTensors(base.config).values()].map(sizeOf)),
      adapterParameters: sum(sizes),
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, each) => total + each, 0);
}
