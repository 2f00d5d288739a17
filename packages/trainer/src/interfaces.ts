/** The sum of a batch's losses, in nats, and how many tokens it is over. */
export interface Loss {
  readonly lossSum: number;
  readonly tokens: number;
}

/** A loss that may still be on a device: then it is known with the norm of the gradients. */
export interface PendingLoss {
  readonly lossSum: number | Promise<number>;
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
  ): Promise<PendingLoss>;
  evaluate(batch: B): Promise<Loss>;
}

/** What the loop needs of an optimizer. */
export interface TrainerOptimizer {
  zeroGrad(): void;
  /** 2-norm over all gradients. When it is known, so are the losses of the step: one transfer brings both. */
  gradNorm(): Promise<number>;
  /** Called with what `gradNorm` told, when that and the losses are finite. */
  step(learningRate: number, gradNorm: number): Promise<unknown>;
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
