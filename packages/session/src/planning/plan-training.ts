import type { Backend } from '@qlorajs/compute';
import type { PlannedProgram, Tier } from '@qlorajs/compute-webgpu';
import { QLoraError } from '@qlorajs/errors';
import type { LoraConfig } from '@qlorajs/lora';
import type { PhiConfig } from '@qlorajs/phi2-model';
import { formatBytes } from '../format.js';
import type { TrainingOptions } from '../options/training-options.js';
import type { PreparedData } from '../training/data.js';
import { planRun } from '../training/run-plan.js';
import { fillShare, largestShape } from './batch-shapes.js';
import { type BatchShape, type DryRunArgs, type DryRunResult, dryRun } from './dry-run.js';
import { type Change, findFit } from './fit.js';

/** What a run will take. */
export interface MemoryPlan {
  readonly fits: boolean;
  readonly peakBytes: number;
  /** null: the device does not say, and no budget was given. */
  readonly budgetBytes: number | null;
  readonly parts: Readonly<Record<string, number>>;
  /** Multiply-adds of one micro-batch of the largest size. */
  readonly multiplyAdds: number;
  readonly microBatches: number;
  readonly steps: number;
  /** Work of the whole run, over `microBatches` of the largest size. */
  readonly fill: number;
  /** What makes it fit, in order of cost; empty when it fits or nothing does. */
  readonly changes: readonly Change[];
}

/** What is planned. */
export interface PlanArgs {
  readonly options: TrainingOptions;
  readonly config: PhiConfig;
  readonly lora: LoraConfig;
  readonly backend: Pick<Backend, 'name' | 'info'>;
  /** null: any rows of `max_seq_length`. */
  readonly data: Pick<PreparedData, 'train' | 'evaluation'> | null;
  readonly length: number;
  /** Bytes that the GPU has free, or the machine for the CPU engine, where the app can tell. */
  readonly deviceMemory?: number | null;
  /** Told what a GPU will have to compile for the step. */
  readonly onProgram?: (program: PlannedProgram) => void;
}

/** Bytes that the device has: what was asked for, else what it says of itself. */
function budgetOf({ options, backend, deviceMemory = null }: PlanArgs): number | null {
  if (options.vramBudget !== undefined) return options.vramBudget;
  if (backend.name !== 'wasm') return deviceMemory;
  return Math.min(Number(backend.info.memoryLimit), deviceMemory ?? Number.POSITIVE_INFINITY);
}

/** Without data every token of every row is trained on. */
function fullShape({ options, length }: PlanArgs): BatchShape {
  const batchSize = options.perDeviceTrainBatchSize;
  return { batchSize, length, trainedTokens: batchSize * (length - 1), packed: options.packing };
}

/** Runs the training step dry, and where it does not fit looks for what would. */
export async function planTraining(args: PlanArgs): Promise<MemoryPlan> {
  const { options, config, lora, backend, data } = args;
  const run = planRun(options, data?.train.batchesPerEpoch ?? 1);
  const microBatches = Math.ceil((run.totalSteps * run.batchesPerEpoch) / run.stepsPerEpoch);
  const budgetBytes = budgetOf(args);
  const dry: DryRunArgs = {
    ...{ config, lora, options },
    engine: {
      name: backend.name,
      tier: backend.info.tier as Tier | undefined,
      maxBinding: backend.info.maxBindingBytes as number | undefined,
      onProgram: args.onProgram,
    },
    train: data ? largestShape(data.train, microBatches) : fullShape(args),
    evaluation: data?.evaluation
      ? largestShape(data.evaluation, data.evaluation.batchesPerEpoch)
      : null,
  };
  const result = await dryRun(dry);
  const fits = result.fits && (budgetBytes === null || result.peakBytes <= budgetBytes);
  const limited = { ...options, vramBudget: budgetBytes ?? undefined };
  const fit = fits ? null : await findFit(options, { ...dry, options: limited });
  return {
    ...pick(result),
    ...{ fits, budgetBytes, steps: run.totalSteps },
    microBatches,
    fill: data ? fillShare(data.train) : 1,
    changes: fit?.changes ?? [],
  };
}

function pick({ peakBytes, parts, multiplyAdds }: DryRunResult) {
  return { peakBytes, parts, multiplyAdds };
}

/** Seconds of the whole run at so many multiply-adds a second. */
export function secondsOf(plan: MemoryPlan, rate: number): number {
  return (plan.multiplyAdds * plan.microBatches * plan.fill) / rate;
}

/** What there is to say where nobody knows the memory. */
export const UNKNOWN_MEMORY =
  'the memory of this device is not known: give what it has, as in --vram-budget 6GB';

/** What to change, for people; when nothing is enough, what else there is. */
export function adviceOf(plan: MemoryPlan): string[] {
  if (plan.budgetBytes === null) return [UNKNOWN_MEMORY];
  if (plan.fits) return [];
  if (plan.changes.length > 0) return plan.changes.map(({ text }) => text);
  return ['a lower --max-seq-length or --r, or a larger --vram-budget: nothing else makes it fit'];
}

/** The error of a run that does not fit. */
export function doesNotFit(plan: MemoryPlan): QLoraError {
  const { peakBytes, budgetBytes } = plan;
  const auto = plan.changes.length > 0 ? '; --auto-fit does that by itself' : '';
  return new QLoraError(
    'PLAN_MEMORY',
    `the run takes ${formatBytes(peakBytes)} and ${formatBytes(budgetBytes ?? 0)} are there; what makes it fit: ${adviceOf(plan).join(', and ')}${auto}`,
    { details: { peakBytes, budgetBytes, parts: plan.parts, advice: adviceOf(plan) } },
  );
}
