import type { Decoding } from '../decoding/decoding.js';
import type { Ops } from '../ops.js';

/** |actual - expected| <= absolute + relative * (largest |expected| of the tensor). */
export interface Tolerance {
  readonly absolute: number;
  readonly relative: number;
}

const ROUNDING: Tolerance = { absolute: 1e-7, relative: 1e-6 };
/** Sums of hundreds of f32 products, and one polynomial exp or tanh an element. */
const REDUCTION: Tolerance = { absolute: 1e-6, relative: 5e-6 };
const EXACT: Tolerance = { absolute: 0, relative: 0 };

/** How far a backend that computes in f32 may be from the float64 reference, an operation at a time. */
export const OP_TOLERANCES: Readonly<Record<keyof Ops, Tolerance>> = {
  gatherRows: EXACT,
  scatterRows: EXACT,
  scatterAddRows: ROUNDING,
  layerNorm: REDUCTION,
  layerNormBackward: REDUCTION,
  linear: REDUCTION,
  linearBackward: REDUCTION,
  matmul: REDUCTION,
  rotary: ROUNDING,
  attention: REDUCTION,
  attentionBackward: { absolute: 1e-6, relative: 1e-5 },
  gelu: ROUNDING,
  geluBackward: ROUNDING,
  crossEntropy: REDUCTION,
  dropout: ROUNDING,
  axpby: ROUNDING,
  fill: EXACT,
  sumSquares: REDUCTION,
  clipScale: ROUNDING,
  adamw: { absolute: 1e-7, relative: 2e-6 },
  /** A code that is off by one is far outside. */
  adamw8bit: { absolute: 1e-7, relative: 2e-6 },
  dequantizeNf4: EXACT,
  quantizeNf4: EXACT,
  scaleColumns: ROUNDING,
  columnSums: REDUCTION,
  inverseRowNorms: REDUCTION,
};

/**
 * The same for a GPU whose products have f16 operands and f32 sums: an operand is off by up to 2^-11 of
 * itself, a sum of many by a few 1e-4 of the largest. Measured on an H200: linear 2.2e-4,
 * linearBackward 3.7e-4, attention 4.3e-4, attentionBackward 1.9e-3 (3.0e-3 over 330 keys).
 */
export const HALF_OP_TOLERANCES: typeof OP_TOLERANCES = {
  ...OP_TOLERANCES,
  linear: { absolute: 1e-6, relative: 1e-3 },
  linearBackward: { absolute: 1e-6, relative: 1e-3 },
  attention: { absolute: 1e-6, relative: 2e-3 },
  attentionBackward: { absolute: 1e-6, relative: 5e-3 },
};

/** How far what an engine does in one go while decoding may be from the reference, on every tier. */
export const DECODING_TOLERANCES: Readonly<Record<keyof Decoding, Tolerance>> = {
  block: { absolute: 1e-6, relative: 2e-5 },
  chooseToken: REDUCTION,
};

/** How far a whole model may be from Python's f32. */
export interface GoldenTolerance {
  /** Logits and hidden states. */
  readonly absolute: number;
  /** Gradients, relative to a tensor's largest entry. */
  readonly gradient: number;
  /** Losses of a trajectory. */
  readonly loss: number;
  /** What other bounds of a test are multiplied by. */
  readonly looser: number;
  /**
   * What bounds of trained weights are multiplied by: Adam turns the sign of a gradient near zero into a
   * whole step.
   */
  readonly trained: number;
}

/** By the operands of products. */
export const GOLDEN_TOLERANCES: Readonly<Record<'f32' | 'f16', GoldenTolerance>> = {
  f32: { absolute: 2e-4, gradient: 1e-3, loss: 1e-4, looser: 1, trained: 1 },
  f16: { absolute: 5e-3, gradient: 1e-2, loss: 1e-3, looser: 10, trained: 40 },
};
