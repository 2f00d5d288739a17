/**
 * Where a run stands, beside weights and optimizer states: what a checkpoint keeps, so that a resumed
 * run takes the very steps of one that was never interrupted. Batches, masks and rates follow from
 * `step` alone. Plain data, JSON as it is.
 */
export interface LoopState {
  /** Optimizer steps so far, skipped ones included. */
  readonly step: number;
  /** The lowest evaluation loss so far; null before the first evaluation. */
  readonly best: { readonly step: number; readonly loss: number } | null;
  readonly evaluationsSinceBest: number;
  /** Sum of the losses of the steps that were not skipped. */
  readonly lossSum: number;
  readonly skippedSteps: number;
  readonly skippedInARow: number;
}

/** Before the first step. */
export const INITIAL_STATE: LoopState = {
  step: 0,
  best: null,
  evaluationsSinceBest: 0,
  lossSum: 0,
  skippedSteps: 0,
  skippedInARow: 0,
};

/** The state after a step. */
export function afterStep(state: LoopState, loss: number, skipped: boolean): LoopState {
  return {
    ...state,
    step: state.step + 1,
    lossSum: state.lossSum + (skipped ? 0 : loss),
    skippedSteps: state.skippedSteps + (skipped ? 1 : 0),
    skippedInARow: skipped ? state.skippedInARow + 1 : 0,
  };
}

/** The state after an evaluation; a loss that is not a number is never the best. */
export function afterEvaluation(state: LoopState, loss: number): LoopState {
  const isBest = loss < (state.best?.loss ?? Number.POSITIVE_INFINITY);
  return {
    ...state,
    best: isBest ? { step: state.step, loss } : state.best,
    evaluationsSinceBest: isBest ? 0 : state.evaluationsSinceBest + 1,
  };
}
