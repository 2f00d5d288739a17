import type { CheckpointEvent, EvaluationEvent, StepEvent, TrainResult } from './events.js';
import { type TrainerOptions, train } from './train.js';

/** What is told of a run; the loop waits for what they return. */
export interface TrainCallbacks {
  onStep?(event: StepEvent): unknown;
  onEval?(event: EvaluationEvent): unknown;
  onCheckpoint?(event: CheckpointEvent): unknown;
}

/**
 * {@link train} with callbacks instead of an iterator.
 *
 * @returns how the run ended
 * @throws what `train` or a callback throws
 */
export async function fit<B>(
  options: TrainerOptions<B>,
  callbacks: TrainCallbacks = {},
): Promise<TrainResult> {
  const events = train(options);
  for (;;) {
    const next = await events.next();
    if (next.done) return next.value;
    const event = next.value;
    if (event.type === 'step') await callbacks.onStep?.(event);
    else if (event.type === 'evaluation') await callbacks.onEval?.(event);
    else await callbacks.onCheckpoint?.(event);
  }
}
