/** The sum of a batch's losses, in nats, and how many tokens it is over. */
export interface Loss {
  readonly lossSum: number;
  readonly tokens: number;
}

/** What the loop needs of a model: gradients accumulate until the optimizer clears them. */
export interface TrainableModel<B> {
  forwardBackward(
    batch: B,
    options: {
      /** Divides loss gradients: the trained tokens of the whole window. */
      readonly normalizer: number;
      /** Unsigned 32-bit, another for every micro-batch. */
      readonly dropoutSeed: number;
    },
  ): Promise<Loss>;
  evaluate(batch: B): Promise<Loss>;
}

/** What the loop needs of an optimizer. */
export interface TrainerOptimizer {
  zeroGrad(): void;
  /** `skipped`: the gradients were not finite and nothing was changed. */
  step(learningRate: number): Promise<{ readonly gradNorm: number; readonly skipped: boolean }>;
}

/** Where batches come from; the same epoch number always gives the same batches. */
export interface BatchSource<B> {
  readonly batchesPerEpoch: number;
  batches(epoch: number): readonly B[];
  /** Tokens of a batch that carry a loss. */
  trainedTokens(batch: B): number;
  /** Real tokens of a batch. */
  tokens(batch: B): number;
  /** Where a batch came from, for messages: `lines 3 and 17`. */
  describe?(batch: B): string;
}
