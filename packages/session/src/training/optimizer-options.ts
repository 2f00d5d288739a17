import { decaysByName, loraPlusRates } from '@qlorajs/lora';
import type { AdamWOptions, MomentOptions } from '@qlorajs/paged-optim';
import type { TrainingOptions } from '../options/training-options.js';

/** AdamW's, with the parameter groups of transformers' Trainer, or of LoRA+. */
export function optimizerOptions(options: TrainingOptions): Partial<AdamWOptions> & MomentOptions {
  return {
    beta1: options.adamBeta1,
    beta2: options.adamBeta2,
    epsilon: options.adamEpsilon,
    weightDecay: options.weightDecay,
    maxGradNorm: options.maxGradNorm,
    moments: options.optim === 'paged_adamw_8bit' ? '8bit' : '32bit',
    decays: decaysByName,
    rates: loraPlusRates(options.loraplusLrRatio ?? 1),
  };
}
