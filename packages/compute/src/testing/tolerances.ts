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
