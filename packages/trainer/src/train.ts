import { QLoraError } from '@qlorajs/errors';
import type { EvaluationEvent, StepEvent, TrainEvent, TrainResult } from './events.js';
import type { BatchSource, TrainableModel, TrainerOptimizer } from './interfaces.js';
import { planSteps } from './plan.js';
import { type ScheduleType, scheduleMultiplier } from './schedule.js';

/** Everything a run consists of. */
export interface TrainerOptions<B> {
  readonly model: TrainableModel<B>;
  readonly optimizer: TrainerOptimizer;
  readonly train: BatchSource<B>;
  readonly evaluation?: BatchSource<B>;
  /** The peak of the schedule. */
  readonly learningRate: number;
  readonly schedule: ScheduleType;
  readonly warmupSteps: number;
  /** May be a fraction. */
  readonly epochs: number;
  /** Above 0 it overrides the epochs. */
  readonly maxSteps?: number;
  readonly gradientAccumulationSteps: number;
  /** Of dropout. */
  readonly seed: number;
  /** Evaluate every so many steps, and at the end; 0 (the default): at the end alone. */
  readonly evalSteps?: number;
  /** A checkpoint event every so many steps; 0 (the default): none. */
  readonly saveSteps?: number;
  /** Stop after so many evaluations in a row without a new best; 0 (the default): never. */
  readonly earlyStoppingPatience?: number;
  /** Stop after so many steps in a row whose gradients are not finite (default 8). */
  readonly maxSkippedSteps?: number;
  /** Steps already taken, when a run is resumed; batches and masks follow from it alone. */
  readonly startStep?: number;
  /** Seconds, from any start; injected in tests. */
  readonly clock?: () => number;
  /** The step under way is finished, then the run ends with reason `aborted`. */
  readonly signal?: AbortSignal;
}

/** Another mask for every micro-batch of a run, and the same again when a run is resumed. */
export function dropoutSeed(seed: number, microBatch: number): number {
  return (Math.imul(seed + 1, 0x9e3779b1) + microBatch) >>> 0;
}

/** Mean loss of every batch of a source. */
async function evaluateSource<B>(
  model: TrainableModel<B>,
  source: BatchSource<B>,
): Promise<{ loss: number; tokens: number }> {
  let lossSum = 0;
  let tokens = 0;
  for (const batch of source.batches(0)) {
    const result = await model.evaluate(batch);
    lossSum += result.lossSum;
    tokens += result.tokens;
  }
  return { loss: lossSum / tokens, tokens };
}

/**
 * The training loop. Loss and gradients are divided by the trained tokens of the whole accumulation
 * window, so that k micro-batches of one row equal one batch of k rows. The caller iterates over the
 * events; while it handles one, the loop waits.
 *
 * @returns an async generator of {@link TrainEvent}; its return value says how the run ended
 * @throws QLoraError `TRAINER_OPTION` for impossible options, `TRAINER_DIVERGED` when gradients stay
 * not finite
 */
export async function* train<B>(
  options: TrainerOptions<B>,
): AsyncGenerator<TrainEvent, TrainResult> {
  const { model, optimizer, signal, evalSteps = 0, saveSteps = 0 } = options;
  const clock = options.clock ?? (() => performance.now() / 1000);
  const plan = planSteps({
    batchesPerEpoch: options.train.batchesPerEpoch,
    gradientAccumulationSteps: options.gradientAccumulationSteps,
    epochs: options.epochs,
    maxSteps: options.maxSteps ?? 0,
  });
  const { totalSteps, stepsPerEpoch } = plan;
  const { warmupSteps } = options;
  const schedule = { type: options.schedule, totalSteps, warmupSteps };
  let best = Number.POSITIVE_INFINITY;
  let evaluationsSinceBest = 0;
  let lossTotal = 0;
  let skippedSteps = 0;
  let skippedInARow = 0;
  let step = options.startStep ?? 0;
  const first = step;
  const result = (reason: TrainResult['reason']): TrainResult => ({
    steps: step,
    reason,
    meanLoss: lossTotal / Math.max(1, step - first),
    skippedSteps,
  });

  const takeStep = async (window: readonly B[], epoch: number): Promise<StepEvent> => {
    const started = clock();
    const normalizer = sum(window, (batch) => options.train.trainedTokens(batch));
    const learningRate = options.learningRate * scheduleMultiplier(schedule, step);
    const micro = step * options.gradientAccumulationSteps;
    let lossSum = 0;
    optimizer.zeroGrad();
    for (const [i, batch] of window.entries()) {
      const seed = dropoutSeed(options.seed, micro + i);
      lossSum += (await model.forwardBackward(batch, { normalizer, dropoutSeed: seed })).lossSum;
    }
    const { gradNorm, skipped } = await optimizer.step(learningRate);
    step++;
    return {
      type: 'step',
      step,
      totalSteps,
      epoch,
      loss: lossSum / normalizer,
      gradNorm,
      learningRate,
      tokens: sum(window, (batch) => options.train.tokens(batch)),
      trainedTokens: normalizer,
      seconds: clock() - started,
      skipped,
    };
  };

  const evaluate = async (epoch: number): Promise<EvaluationEvent | null> => {
    if (!options.evaluation) return null;
    const started = clock();
    const { loss, tokens } = await evaluateSource(model, options.evaluation);
    const isBest = loss < best;
    evaluationsSinceBest = isBest ? 0 : evaluationsSinceBest + 1;
    best = Math.min(best, loss);
    const perplexity = Math.exp(loss);
    const seconds = clock() - started;
    return { type: 'evaluation', step, epoch, loss, perplexity, tokens, seconds, best: isBest };
  };

  while (step < totalSteps) {
    const epochIndex = Math.floor(step / stepsPerEpoch);
    const batches = options.train.batches(epochIndex);
    for (let inEpoch = step % stepsPerEpoch; inEpoch < stepsPerEpoch; inEpoch++) {
      if (step >= totalSteps) break;
      if (signal?.aborted) return result('aborted');
      const from = inEpoch * options.gradientAccumulationSteps;
      const window = batches.slice(from, from + options.gradientAccumulationSteps);
      const done = epochIndex + Math.min(1, (from + window.length) / plan.batchesPerEpoch);
      const event = await takeStep(window, done);
      lossTotal += event.loss;
      skippedSteps += event.skipped ? 1 : 0;
      skippedInARow = event.skipped ? skippedInARow + 1 : 0;
      yield event;
      if (skippedInARow >= (options.maxSkippedSteps ?? 8)) throw diverged(event, skippedInARow);
      const last = step === totalSteps;
      if (last || (evalSteps > 0 && step % evalSteps === 0)) {
        const evaluation = await evaluate(done);
        if (evaluation) yield evaluation;
      }
      if (!last && saveSteps > 0 && step % saveSteps === 0) yield { type: 'checkpoint', step };
      const patience = options.earlyStoppingPatience ?? 0;
      if (patience > 0 && evaluationsSinceBest >= patience) return result('early-stopping');
    }
  }
  return result('completed');
}

function sum<B>(items: readonly B[], of: (item: B) => number): number {
  return items.reduce((total, item) => total + of(item), 0);
}

function diverged(event: StepEvent, count: number): QLoraError {
  return new QLoraError(
    'TRAINER_DIVERGED',
    `step ${event.step}: gradients were not finite ${count} steps in a row (loss ${event.loss}); lower learning_rate, or look at the data of these steps`,
    { kind: 'runtime', details: { step: event.step, loss: event.loss } },
  );
}
