import { QLoraError } from '@qlorajs/errors';

/** Coefficients of Adam and its weight decay. */
export interface AdamCoefficients {
  /** Decay of the first moment, in [0, 1); default 0.9. */
  readonly beta1: number;
  /** Decay of the second moment, in [0, 1); default 0.999. */
  readonly beta2: number;
  /** Default 1e-8. */
  readonly epsilon: number;
  /** Default 0, as in transformers' TrainingArguments. */
  readonly weightDecay: number;
}

/** Options of `createAdamW`. */
export interface AdamWOptions extends AdamCoefficients {
  /** Gradients are scaled so that their global 2-norm is at most this; 0 turns it off; default 1. */
  readonly maxGradNorm: number;
  /** Which parameters decay, by name; default all. */
  readonly decays: (name: string) => boolean;
  /** What the learning rate of a parameter is multiplied by, by name; default 1. */
  readonly rates: (name: string) => number;
}

const DEFAULTS: AdamWOptions = {
  beta1: 0.9,
  beta2: 0.999,
  epsilon: 1e-8,
  weightDecay: 0,
  maxGradNorm: 1,
  decays: () => true,
  rates: () => 1,
};

const RANGES: readonly (readonly [
  keyof Omit<AdamWOptions, 'decays' | 'rates'>,
  string,
  (value: number) => boolean,
])[] = [
  ['beta1', 'in [0, 1)', (value) => value >= 0 && value < 1],
  ['beta2', 'in [0, 1)', (value) => value >= 0 && value < 1],
  ['epsilon', 'above 0', (value) => value > 0 && value < Number.POSITIVE_INFINITY],
  ['weightDecay', '0 or more', (value) => value >= 0 && value < Number.POSITIVE_INFINITY],
  ['maxGradNorm', '0 or more', (value) => value >= 0],
];

/** @throws QLoraError `OPTIMIZER_OPTION` for a value outside its range. */
export function completeOptions(options: Partial<AdamWOptions>): AdamWOptions {
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  const complete: AdamWOptions = { ...DEFAULTS, ...Object.fromEntries(given) };
  for (const [name, range, isInside] of RANGES)
    if (!isInside(complete[name]))
      throw new QLoraError('OPTIMIZER_OPTION', `${name} must be ${range}, got ${complete[name]}`, {
        details: { option: name, value: complete[name] },
      });
  return complete;
}
