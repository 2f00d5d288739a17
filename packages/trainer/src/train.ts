import { isQLoraError, QLoraError } from '@qlorajs/errors';
import type { EvaluationEvent, StepEvent, TrainEvent, TrainResult } from './events.js';
import type { BatchSource, TrainableModel, TrainerOptimizer } from './interfaces.js';
import { afterEvaluation, afterStep, INITIAL_STATE, type LoopState } from './loop-state.js';
import { planSteps } from './plan.js';
import { type DecayOptions, type ScheduleType, scheduleMultiplier } from './schedule.js';
import { takeWindow, type WindowFailure } from './window.js';

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
  /** Of `warmup_stable_decay`. */
  readonly decay?: DecayOptions;
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
  /** Stop after so many steps in a row whose loss or gradients are not finite (default 8). */
  readonly maxSkippedSteps?: number;
  /** Where to go on, from a checkpoint of the same run. */
  readonly resume?: LoopState;
  /** Whether the cause of an error in a forward or backward was mended: then the step is taken again. */
  readonly mend?: (error: unknown) => boolean | Promise<boolean>;
  /** Seconds, from any start; injected in tests. */
  readonly clock?: () => number;
  /** The step under way is finished, then the run ends with reason `aborted`. */
  readonly signal?: AbortSignal;
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
 * events; while it handles one, the loop waits. A step for which there is no memory ends the run with a
 * checkpoint event of the step before.
 *
 * @returns an async generator of {@link TrainEvent}; its return value says how the run ended
 * @throws QLoraError `TRAINER_OPTION` for impossible options, `TRAINER_DIVERGED` when losses or
 * gradients stay not finite, and what the model throws unless it was mended
 */
export async function* train<B>(
  options: TrainerOptions<B>,
): AsyncGenerator<TrainEvent, TrainResult> {
  const { signal, evalSteps = 0, saveSteps = 0, earlyStoppingPatience: patience = 0 } = options;
  const clock = options.clock ?? (() => performance.now() / 1000);
  const perStep = options.gradientAccumulationSteps;
  const { totalSteps, stepsPerEpoch, batchesPerEpoch } = planSteps({
    batchesPerEpoch: options.train.batchesPerEpoch,
    gradientAccumulationSteps: perStep,
    epochs: options.epochs,
    maxSteps: options.maxSteps ?? 0,
  });
  const { warmupSteps, decay } = options;
  const schedule = { type: options.schedule, totalSteps, warmupSteps, decay };
  let state = options.resume ?? INITIAL_STATE;
  /** The step of the last checkpoint. */
  let kept = state.step;
  const result = (reason: TrainResult['reason']): TrainResult => ({
    steps: state.step,
    reason,
    meanLoss: state.lossSum / Math.max(1, state.step - state.skippedSteps),
    skippedSteps: state.skippedSteps,
    state,
  });
  const isStuck = () => patience > 0 && state.evaluationsSinceBest >= patience;

  const takeStep = async (
    batches: readonly B[],
    epoch: number,
  ): Promise<StepEvent | WindowFailure> => {
    const started = clock();
    const learningRate = options.learningRate * scheduleMultiplier(schedule, state.step);
    const window = { batches, firstMicroBatch: state.step * perStep };
    const taken = await takeWindow(window, learningRate, options.seed, options);
    if ('failure' in taken) return taken;
    state = afterStep(state, taken.loss, taken.skipped);
    return {
      type: 'step',
      step: state.step,
      totalSteps,
      epoch,
      learningRate,
      tokens: batches.reduce((total, batch) => total + options.train.tokens(batch), 0),
      seconds: clock() - started,
      ...taken,
    };
  };

  const evaluate = async (source: BatchSource<B>, epoch: number): Promise<EvaluationEvent> => {
    const started = clock();
    const { loss, tokens } = await evaluateSource(options.model, source);
    state = afterEvaluation(state, loss);
    const { step } = state;
    const seconds = clock() - started;
    const best = state.evaluationsSinceBest === 0;
    return {
      type: 'evaluation',
      step,
      epoch,
      loss,
      perplexity: Math.exp(loss),
      tokens,
      seconds,
      best,
    };
  };

  while (state.step < totalSteps && !isStuck()) {
    const epochIndex = Math.floor(state.step / stepsPerEpoch);
    const batches = options.train.batches(epochIndex);
    for (let inEpoch = state.step % stepsPerEpoch; inEpoch < stepsPerEpoch; inEpoch++) {
      if (state.step >= totalSteps) break;
      if (signal?.aborted) return result('aborted');
      const from = inEpoch * perStep;
      const window = batches.slice(from, from + perStep);
      const epoch = epochIndex + Math.min(1, (from + window.length) / batchesPerEpoch);
      const event = await takeStep(window, epoch);
      if ('failure' in event) {
        const { failure } = event;
        if (isShortage(failure) && state.step > kept)
          yield { type: 'checkpoint', step: state.step, state };
        throw failure;
      }
      yield event;
      if (state.skippedInARow >= (options.maxSkippedSteps ?? 8)) throw diverged(event, state);
      const { step } = state;
      const isLast = step === totalSteps;
      if (options.evaluation && (isLast || (evalSteps > 0 && step % evalSteps === 0)))
        yield await evaluate(options.evaluation, epoch);
      if (!isLast && saveSteps > 0 && step % saveSteps === 0) {
        yield { type: 'checkpoint', step, state };
        kept = step;
      }
      if (isStuck()) break;
    }
  }
  return result(isStuck() ? 'early-stopping' : 'completed');
}

/** The device goes on after it. */
function isShortage(error: unknown): boolean {
  return isQLoraError(error) && error.code === 'COMPUTE_OUT_OF_MEMORY';
}

function diverged(event: StepEvent, { skippedInARow }: LoopState): QLoraError {
  const { step, loss, skippedBatch } = event;
  const where = skippedBatch === null ? '' : `; the last batch was ${skippedBatch}`;
  return new QLoraError(
    'TRAINER_DIVERGED',
    `step ${step}: loss or gradients were not finite ${skippedInARow} steps in a row (loss ${loss})${where}; lower learning_rate, or look at these rows`,
    { kind: 'runtime', details: { step, loss, skippedInARow, batch: skippedBatch } },
  );
}
