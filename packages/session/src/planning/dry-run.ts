import { type Backend, type CountingBackend, createCountingBackend } from '@qlorajs/compute';
import { createPlanningBackend, type PlannedProgram, type Tier } from '@qlorajs/compute-webgpu';
import { isQLoraError } from '@qlorajs/errors';
import { createEmptyAdapter, type LoraConfig } from '@qlorajs/lora';
import { createAdamW } from '@qlorajs/paged-optim';
import { type LabelledBatch, type PhiConfig, planPhi } from '@qlorajs/phi2-model';
import { embeddingShape } from '../embedding-shape.js';
import type { TrainingOptions } from '../options/training-options.js';
import { createPagers, type PagingOptions } from './pagers.js';
import { partsOf } from './parts.js';

/** The engine that is planned for. */
export interface PlannedEngine {
  readonly name: string;
  readonly tier?: Tier;
  readonly maxBinding?: number;
  /** Told what a GPU will have to compile. */
  readonly onProgram?: (program: PlannedProgram) => void;
}

/** A micro-batch by its sizes. */
export interface BatchShape {
  readonly batchSize: number;
  readonly length: number;
  /** Tokens that carry a loss, of the whole batch. */
  readonly trainedTokens: number;
  readonly packed: boolean;
}

/** Options that decide how much memory a step takes. */
export type MemoryOptions = PagingOptions &
  Pick<
    TrainingOptions,
    'loadIn4bit' | 'bnb4bitUseDoubleQuant' | 'loraDropout' | 'gradientAccumulationSteps'
  >;

/** What is run dry. */
export interface DryRunArgs {
  readonly engine: PlannedEngine;
  readonly config: PhiConfig;
  readonly lora: LoraConfig;
  readonly options: MemoryOptions;
  readonly train: BatchShape;
  readonly evaluation: BatchShape | null;
}

/** What a step would take. */
export interface DryRunResult {
  /** False: no moving of pages makes room under `options.vramBudget`. */
  readonly fits: boolean;
  readonly peakBytes: number;
  readonly parts: Readonly<Record<string, number>>;
  /** Of forward and backward of one micro-batch. */
  readonly multiplyAdds: number;
}

function createBackend(engine: PlannedEngine, memoryLimit?: number): CountingBackend {
  const { name, tier = 'f32', maxBinding, onProgram } = engine;
  if (name !== 'webgpu') return createCountingBackend({ memoryLimit });
  return createPlanningBackend({ tier, memoryLimit, maxBinding, onProgram });
}

/** Any tokens of these sizes. */
export function batchOf({ batchSize, length, trainedTokens, packed }: BatchShape): LabelledBatch {
  const labels = new Int32Array(batchSize * length).fill(-100);
  let left = trainedTokens;
  for (let b = 0; b < batchSize; b++)
    for (let t = length - 1; t > 0 && left > 0; t--, left--) labels[b * length + t] = 0;
  const firstKeys = new Int32Array(packed ? labels.length : 0);
  const positions = Int32Array.from(firstKeys, (_, i) => i % length);
  return {
    ...{ batchSize, length, labels, inputIds: new Int32Array(labels.length) },
    lengths: new Int32Array(batchSize).fill(length),
    ...(packed ? { firstKeys, positions } : {}),
  };
}

/** Loads nothing, and takes one optimizer step with the code that trains. */
async function run(backend: Backend, args: DryRunArgs): Promise<void> {
  const { config, lora, options, train, evaluation, engine } = args;
  const pagers = createPagers(backend, options);
  const quantize = options.loadIn4bit ? { doubleQuant: options.bnb4bitUseDoubleQuant } : null;
  const halfTables = engine.name === 'webgpu';
  const model = planPhi(backend, config, { quantize, halfTables, pager: pagers.blocks });
  const base = { embedding: embeddingShape(config), savable: model.savable };
  const adapter = createEmptyAdapter(backend, lora, model.modules, base);
  model.attach(adapter);
  const moments = options.optim === 'paged_adamw_8bit' ? '8bit' : '32bit';
  const optimizer = createAdamW(backend, adapter.parameters(), { moments, pager: pagers.states });
  const { readback } = optimizer;
  readback.prepare(1 + options.gradientAccumulationSteps * train.trainedTokens);
  await model.forwardBackward(batchOf(train), {
    ...{ normalizer: 1, dropoutSeed: 0, inputPager: pagers.inputs, readback },
    gradientCheckpointing: options.gradientCheckpointing !== false,
  });
  await optimizer.step(0);
  if (evaluation) await model.evaluate(batchOf(evaluation));
}

/** The memory and the work of a step, without weights and without a device. */
export async function dryRun(args: DryRunArgs): Promise<DryRunResult> {
  const limited = createBackend(args.engine, args.options.vramBudget);
  const result = (backend: CountingBackend, fits: boolean): DryRunResult => {
    const { peakParts, multiplyAdds } = backend.counts();
    return { fits, peakBytes: backend.memory().peak, parts: partsOf(peakParts), multiplyAdds };
  };
  try {
    await run(limited, args);
    return result(limited, true);
  } catch (error) {
    if (!isQLoraError(error) || error.code !== 'COMPUTE_OUT_OF_MEMORY') throw error;
  }
  // What it would take, had it all the room.
  const free = createBackend(args.engine);
  await run(free, { ...args, options: { ...args.options, vramBudget: undefined } });
  return result(free, false);
}
