import type { BatchSource, TrainableModel, TrainerOptimizer } from './interfaces.js';

/** The micro-batches of one optimizer step. */
export interface Window<B> {
  readonly batches: readonly B[];
  /** Of the whole run, of the first of them. */
  readonly firstMicroBatch: number;
}

/** What one optimizer step came to. */
export interface WindowResult {
  readonly loss: number;
  readonly gradNorm: number;
  readonly skipped: boolean;
  readonly skippedBatch: string | null;
  readonly trainedTokens: number;
}

/** What kept a window from being learnt from; nothing was changed. */
export interface WindowFailure {
  readonly failure: unknown;
}

/** Another mask for every micro-batch of a run, and the same again when a run is resumed. */
export function dropoutSeed(seed: number, microBatch: number): number {
  return (Math.imul(seed + 1, 0x9e3779b1) + microBatch) >>> 0;
}

/**
 * Gradients of a window; where something fails in its midst and `mend` says that it was mended, from
 * the beginning once more.
 */
async function accumulate<B>(
  batches: readonly B[],
  seeds: readonly number[],
  normalizer: number,
  parts: Parameters<typeof takeWindow<B>>[3],
): Promise<{ readonly losses: readonly number[]; readonly gradNorm: number } | WindowFailure> {
  const { model, optimizer } = parts;
  for (;;) {
    optimizer.zeroGrad();
    try {
      const pending: (number | Promise<number>)[] = [];
      for (const [i, batch] of batches.entries()) {
        const options = { normalizer, dropoutSeed: seeds[i]! };
        pending.push((await model.forwardBackward(batch, options)).lossSum);
      }
      const gradNorm = await optimizer.gradNorm();
      return { losses: await Promise.all(pending), gradNorm };
    } catch (failure) {
      if (!(await parts.mend?.(failure))) return { failure };
    }
  }
}

/**
 * One optimizer step. Loss and gradients are divided by the trained tokens of the whole window. When
 * a loss or a gradient is not finite, nothing is changed.
 */
export async function takeWindow<B>(
  { batches, firstMicroBatch }: Window<B>,
  learningRate: number,
  seed: number,
  parts: {
    readonly model: TrainableModel<B>;
    readonly optimizer: TrainerOptimizer;
    readonly train: BatchSource<B>;
    readonly mend?: (error: unknown) => boolean | Promise<boolean>;
  },
): Promise<WindowResult | WindowFailure> {
  const { optimizer, train } = parts;
  const trainedTokens = batches.reduce((total, batch) => total + train.trainedTokens(batch), 0);
  const seeds = batches.map((_, i) => dropoutSeed(seed, firstMicroBatch + i));
  const learnt = await accumulate(batches, seeds, trainedTokens, parts);
  if ('failure' in learnt) return learnt;
  const { losses, gradNorm } = learnt;
  const loss = losses.reduce((sum, each) => sum + each, 0) / trainedTokens;
  const bad = batches.filter((_, i) => !Number.isFinite(losses[i]));
  const skipped = bad.length > 0 || !Number.isFinite(gradNorm);
  if (!skipped) await optimizer.step(learningRate, gradNorm);
  const blamed = bad.length > 0 ? bad : batches;
  const { describe } = train;
  const skippedBatch =
    skipped && describe ? blamed.map((batch) => describe.call(train, batch)).join('; ') : null;
  return { loss, gradNorm, skipped, skippedBatch, trainedTokens };
}
