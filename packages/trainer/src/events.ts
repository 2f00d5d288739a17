import type { LoopState } from './loop-state.js';

/** An optimizer step has been taken. */
export interface StepEvent {
  readonly type: 'step';
  /** 1 after the first step. */
  readonly step: number;
  readonly totalSteps: number;
  /** Fraction of epochs done. */
  readonly epoch: number;
  /** Mean over the trained tokens of the window, in nats. */
  readonly loss: number;
  /** Before clipping. */
  readonly gradNorm: number;
  /** What this step was taken with. */
  readonly learningRate: number;
  /** Real tokens of the window. */
  readonly tokens: number;
  readonly trainedTokens: number;
  readonly seconds: number;
  /** Loss or gradients were not finite: parameters are as they were. */
  readonly skipped: boolean;
  /** Of a skipped step, which batch spoiled it, where the source describes its batches; else null. */
  readonly skippedBatch: string | null;
}

/** The evaluation set has been measured. */
export interface EvaluationEvent {
  readonly type: 'evaluation';
  readonly step: number;
  readonly epoch: number;
  /** Mean over its trained tokens, in nats. */
  readonly loss: number;
  readonly perplexity: number;
  readonly tokens: number;
  readonly seconds: number;
  /** The lowest loss of the run so far. */
  readonly best: boolean;
}

/** It is time to save: the loop waits until the consumer asks for the next event. */
export interface CheckpointEvent {
  readonly type: 'checkpoint';
  readonly step: number;
  /** To be saved with weights and optimizer states, and given back as `resume`. */
  readonly state: LoopState;
}

export type TrainEvent = StepEvent | EvaluationEvent | CheckpointEvent;

/** How a run ended. */
export interface TrainResult {
  readonly steps: number;
  readonly reason: 'completed' | 'aborted' | 'early-stopping';
  /** Mean of the losses of all steps that were not skipped, earlier parts of the run included. */
  readonly meanLoss: number;
  /** Steps that were skipped because of losses or gradients that were not finite. */
  readonly skippedSteps: number;
  /** As in {@link CheckpointEvent}. */
  readonly state: LoopState;
}
