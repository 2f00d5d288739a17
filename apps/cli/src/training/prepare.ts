import { join } from 'node:path';
import { type Backend, sizeOf } from '@qlorajs/compute';
import {
  createAdapter,
  decaysByName,
  type LoraAdapter,
  type LoraConfig,
  loadAdapter,
  loraPlusRates,
  matchTargets,
} from '@qlorajs/lora';
import {
  type AdamWOptions,
  createAdamW,
  type MomentOptions,
  type Optimizer,
} from '@qlorajs/paged-optim';
import { type PhiModel, phiSavableModules, phiTensors } from '@qlorajs/phi2-model';
import type { TensorSource } from '@qlorajs/safetensors';
import { openBackend } from '../io/backend.js';
import { type BaseFolder, openBase } from '../io/base-folder.js';
import { baseFingerprints } from '../io/fingerprint.js';
import { type OutputFolder, openOutput } from '../io/output-folder.js';
import { PageFile } from '../io/page-file.js';
import { kindOf } from '../io/read.js';
import { embeddingShape } from '../model/embedding-shape.js';
import { loadModel, openWeights } from '../model/load-model.js';
import { readAdapterFolder } from '../model/session.js';
import type { TrainingOptions } from '../options/training-options.js';
import { fitRun } from '../planning/fit-run.js';
import { createPagers, type Pagers } from '../planning/pagers.js';
import type { Progress } from '../report/progress.js';
import type { Ui } from '../report/ui.js';
import { addedRows } from './added-rows.js';
import { checkOptions } from './check-options.js';
import {
  findCheckpoint,
  readCheckpoint,
  type SavedCheckpoint,
  type TrainingArgs,
} from './checkpoint.js';
import { type Arrange, addedIds, maxSeqLength, type PreparedData, prepareData } from './data.js';
import { adapterParameters, loraConfig } from './lora-config.js';
import { checkSameRun, trainingArgs } from './training-args.js';

/** A run that is ready to start. */
export interface TrainingJob extends PreparedData {
  readonly options: TrainingOptions;
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

/** Where a run's adapter comes from. */
interface AdapterOrigin {
  readonly config: LoraConfig;
  /** A checkpoint's folder or `init_adapter`; null: a new one. */
  readonly folder: string | null;
  /** First rows of trained tokens, by module. */
  readonly rows: ReadonlyMap<string, Float32Array>;
  /** First values of modules that are trained whole, by tensor name. */
  readonly modules: ReadonlyMap<string, Float32Array>;
}

async function firstRows(
  config: LoraConfig,
  weights: TensorSource,
  known: number,
  seed: number,
): Promise<Map<string, Float32Array>> {
  const rows = new Map<string, Float32Array>();
  for (const [module, ids] of Object.entries(config.trainableTokenIndices ?? {})) {
    const table = module === 'lm_head' ? 'lm_head.weight' : 'model.embed_tokens.weight';
    rows.set(module, await addedRows(weights, table, known, ids.length, seed));
  }
  return rows;
}

/** The base's own values of the modules that are trained whole, by tensor name. */
async function savedModules(
  { modulesToSave }: LoraConfig,
  base: BaseFolder,
  weights: TensorSource,
): Promise<Map<string, Float32Array>> {
  const values = new Map<string, Float32Array>();
  for (const { name, parameters } of phiSavableModules(base.config)) {
    if (!modulesToSave?.some((each) => name.endsWith(each))) continue;
    for (const each of Object.keys(parameters))
      values.set(`${name}.${each}`, await weights.readFloat32(`${name}.${each}`));
  }
  return values;
}

async function startAdapter(
  model: PhiModel,
  { config, folder, rows, modules }: AdapterOrigin,
  seed: number,
  ui: Ui,
): Promise<LoraAdapter> {
  const embedding = embeddingShape(model.config);
  const { savable } = model;
  if (folder !== null) {
    const { files } = await readAdapterFolder(folder, ui);
    return loadAdapter(model.backend, files, model.modules, { embedding, savable });
  }
  const tokenRows = (module: string) => rows.get(module)!;
  const targets = config.useDora ? matchTargets(config, model.modules) : [];
  const norms = await model.rowNorms(targets.map(({ name }) => name));
  return createAdapter(model.backend, config, model.modules, {
    ...{ seed, embedding, tokenRows, savable },
    rowNorms: (name) => norms.get(name)!,
    moduleValues: (name, parameter) => modules.get(`${name}.${parameter}`)!,
  });
}

/** AdamW's, with the parameter groups of transformers' Trainer, or of LoRA+. */
function optimizerOptions(options: TrainingOptions): Partial<AdamWOptions> & MomentOptions {
  return {
    beta1: options.adamBeta1,
    beta2: options.adamBeta2,
    epsilon: options.adamEpsilon,
    weightDecay: options.weightDecay,
    maxGradNorm: options.maxGradNorm,
    moments: options.optim === 'paged_adamw_8bit' ? '8bit' : '32bit',
    decays: decaysByName,
    rates: loraPlusRates(options.loraplusLrRatio ?? 1),
  };
}

/** The checkpoint to go on with, if there is one and it belongs to this run. */
async function resumedRun(
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
  const saved = await readCheckpoint(folder);
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
  const base = await openBase(asked.base);
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
    const options = await fitRun({ ...planned, data: askedData }, ui);
    if (options.vramBudget !== asked.vramBudget) {
      // Pages move under a limit of the engine.
      await backend.dispose();
      backend = await openBackend(options, ui);
    }
    const data = options === asked ? askedData : await prepareData(options, base, ui, arrange);
    const args = trainingArgs(options, data.hashes, await baseFingerprints(base.path));
    const resumed = await resumedRun(options, args, ui);
    const weights = await openWeights(base);
    closers.unshift(() => weights.close());
    const parameters = adapterParameters(config, base);
    const output = await openRunFolder(options, resumed?.folder ?? null, parameters);
    closers.push(() => output.discardIfEmpty());
    const known = (data.tokenizer?.size ?? 0) - addedIds(data).length;
    const rows = await firstRows(config, weights, known, options.seed);
    const modules = await savedModules(config, base, weights);
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
    const folder = resumed?.folder ?? options.initAdapter ?? null;
    const adapter = await startAdapter(model, { config, folder, rows, modules }, options.seed, ui);
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
