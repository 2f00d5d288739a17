import type { Batch } from '@qlorajs/dataset';
import { type RunPlan, stepOptions, type TrainingOptions } from '@qlorajs/session';
import { type BatchSource, type LoopState, train } from '@qlorajs/trainer';
import type { RowTable } from './row-table.js';

/** One line of steps.jsonl: an optimizer step that another engine will take. */
export interface PlannedStep {
  /** 1 for the first of the run. */
  readonly step: number;
  readonly epoch: number;
  readonly learning_rate: number;
  /** Tokens that carry a loss, which it is divided by. */
  readonly trained_tokens: number;
  /** Row numbers of its micro-batches, in order. */
  readonly micro_batches: readonly (readonly number[])[];
}

/**
 * The steps of a run: the training loop itself, on a model that only remembers its batches.
 * @param resume where the run stands; its steps so far are left out
 */
export async function recordSteps(
  options: TrainingOptions,
  source: BatchSource<Batch>,
  plan: RunPlan,
  rows: RowTable,
  resume: LoopState,
): Promise<PlannedStep[]> {
  let seen: Batch[] = [];
  const loss = { lossSum: 0, tokens: 1 };
  const loop = train<Batch>({
    model: {
      async forwardBackward(batch) {
        seen.push(batch);
        return loss;
      },
      evaluate: async () => loss,
    },
    optimizer: { zeroGrad() {}, gradNorm: async () => 0, step: async () => {} },
    train: source,
    ...stepOptions(options, plan),
    resume,
  });
  const steps: PlannedStep[] = [];
  for await (const event of loop) {
    if (event.type !== 'step') continue;
    steps.push({
      step: event.step,
      epoch: event.epoch,
      learning_rate: event.learningRate,
      trained_tokens: seen.reduce((sum, { trainedTokens }) => sum + trainedTokens, 0),
      micro_batches: seen.map((batch) => rows.numbersOf(batch)),
    });
    seen = [];
  }
  return steps;
}
