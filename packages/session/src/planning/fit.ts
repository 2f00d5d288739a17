import type { TrainingOptions } from '../options/training-options.js';
import type { BatchShape, DryRunArgs, DryRunResult } from './dry-run.js';
import { dryRun } from './dry-run.js';
import { canPageBlocks } from './pagers.js';

/** Options that a change may touch. */
export type FitOptions = Pick<
  TrainingOptions,
  | 'perDeviceTrainBatchSize'
  | 'gradientAccumulationSteps'
  | 'gradientCheckpointing'
  | 'optim'
  | 'baseOffload'
>;

/** One way of taking less memory. */
export interface Change {
  readonly options: Partial<FitOptions>;
  /** For people, with the flags. */
  readonly text: string;
}

/** A run that fits, with the changes that make it so; null where none do. */
export interface Fit {
  readonly changes: readonly Change[];
  readonly result: DryRunResult;
}

/** The changes that there are, the cheapest first: what costs no time, some time, transfers. */
function changesFor(options: FitOptions): Change[] {
  const { perDeviceTrainBatchSize: rows, gradientAccumulationSteps: windows } = options;
  const changes: Change[] = [];
  for (let fewer = rows - 1; fewer >= 1; fewer--) {
    if (rows % fewer !== 0) continue;
    const accumulated = (windows * rows) / fewer;
    changes.push({
      options: { perDeviceTrainBatchSize: fewer, gradientAccumulationSteps: accumulated },
      text: `--per-device-train-batch-size ${fewer} --gradient-accumulation-steps ${accumulated}: smaller micro-batches, the same rows a step`,
    });
  }
  if (options.gradientCheckpointing === false)
    changes.push({
      options: { gradientCheckpointing: true },
      text: '--gradient-checkpointing: every block is computed a second time in the backward',
    });
  if (options.optim !== 'paged_adamw_8bit')
    changes.push({
      options: { optim: 'paged_adamw_8bit' },
      text: '--optim paged_adamw_8bit: moments of 8 bits',
    });
  if (options.gradientCheckpointing !== 'offload')
    changes.push({
      options: { gradientCheckpointing: 'offload' },
      text: "--gradient-checkpointing offload: inputs of blocks wait in the host's memory",
    });
  if (!options.baseOffload)
    changes.push({
      options: { baseOffload: true },
      text: '--base-offload: frozen blocks come to the device when they are used',
    });
  return changes;
}

function shapeFor(shape: BatchShape, asked: FitOptions, changed: Partial<FitOptions>): BatchShape {
  const { perDeviceTrainBatchSize: rows } = asked;
  const share = (changed.perDeviceTrainBatchSize ?? rows) / rows;
  return {
    ...shape,
    batchSize: Math.ceil(shape.batchSize * share),
    trainedTokens: Math.ceil(shape.trainedTokens * share),
  };
}

/**
 * The cheapest single change that fits; where none is enough, as many as are needed, the cheapest
 * first.
 */
export async function findFit(asked: FitOptions, args: DryRunArgs): Promise<Fit | null> {
  const attempt = async (changes: readonly Change[]): Promise<Fit | null> => {
    const changed: Partial<FitOptions> = Object.assign({}, ...changes.map((each) => each.options));
    const result = await dryRun({
      ...args,
      options: { ...args.options, ...changed },
      train: shapeFor(args.train, asked, changed),
    });
    return result.fits ? { changes, result } : null;
  };
  const changes = changesFor(asked).filter(
    ({ options }) => !options.baseOffload || canPageBlocks(args.lora),
  );
  for (const change of changes) {
    const fit = await attempt([change]);
    if (fit) return fit;
  }
  // The strongest of each kind, added one by one; a later change of a kind replaces an earlier one.
  const kinds = new Map<string, Change>();
  for (const change of changes) {
    kinds.set(Object.keys(change.options).join(), change);
    if (kinds.size < 2) continue;
    const fit = await attempt([...kinds.values()]);
    if (fit) return withoutNeedless(fit, attempt);
  }
  return null;
}

/** Leaves out changes that the later, stronger ones made needless, the dearest first. */
async function withoutNeedless(
  fit: Fit,
  attempt: (changes: readonly Change[]) => Promise<Fit | null>,
): Promise<Fit> {
  let best = fit;
  for (const change of [...fit.changes].reverse()) {
    const fewer = await attempt(best.changes.filter((each) => each !== change));
    if (fewer) best = fewer;
  }
  return best;
}
