import { expectTensor, type Tensor } from '../../tensor.js';

/**
 * Rotary position embedding (https://arxiv.org/abs/2104.09864) in the NeoX half-split form, in place,
 * on the first `rotaryDim` elements of every head; the rest pass through (Phi's partial rotary).
 * For i < rotaryDim / 2: (x[i], x[i + rotaryDim / 2]) turns by the angle of its position.
 */
export interface RotaryArgs {
  /** f32 `[n, heads * headDim]`, changed in place. */
  readonly x: Tensor;
  /** i32 `[n]` */
  readonly positions: Tensor;
  /** f32 `[maxPositions, rotaryDim / 2]` */
  readonly cos: Tensor;
  /** f32 `[maxPositions, rotaryDim / 2]` */
  readonly sin: Tensor;
  readonly heads: number;
  readonly headDim: number;
  readonly rotaryDim: number;
  /** Turns back: the gradient of the forward. */
  readonly inverse: boolean;
}

export function checkRotary({ x, positions, cos, sin, heads, headDim }: RotaryArgs): void {
  expectTensor('rotary', 'positions', positions, 'i32', positions.size);
  expectTensor('rotary', 'x', x, 'f32', positions.size * heads * headDim);
  expectTensor('rotary', 'sin', sin, 'f32', cos.size);
}
