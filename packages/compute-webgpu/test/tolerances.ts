import type { Ops } from '@qlorajs/compute';
import { OP_TOLERANCES, type Tolerance } from '@qlorajs/compute/testing';

/**
 * f16 operands and f32 sums against float64: an operand is off by up to 2^-11 of itself, a sum of
 * many by a few 1e-4 of the largest. Measured on an H200: linear 2.2e-4, linearBackward 3.7e-4,
 * attention 4.3e-4, attentionBackward 1.9e-3.
 */
export const HALF_TOLERANCES: Readonly<Record<keyof Ops, Tolerance>> = {
  ...OP_TOLERANCES,
  linear: { absolute: 1e-6, relative: 1e-3 },
  linearBackward: { absolute: 1e-6, relative: 1e-3 },
  attention: { absolute: 1e-6, relative: 2e-3 },
  attentionBackward: { absolute: 1e-6, relative: 5e-3 },
};
