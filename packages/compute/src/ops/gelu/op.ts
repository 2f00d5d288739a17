import { expectTensor, type Tensor } from '../../tensor.js';

/** `gelu_new`: out = 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) (https://arxiv.org/abs/1606.08415). */
export interface GeluArgs {
  readonly x: Tensor;
  /** May be x itself. */
  readonly out: Tensor;
}

/** dX = dOut * gelu_new'(x). */
export interface GeluBackwardArgs {
  readonly dOut: Tensor;
  readonly x: Tensor;
  /** May be dOut itself. */
  readonly dX: Tensor;
}

export function checkGelu({ x, out }: GeluArgs): void {
  expectTensor('gelu', 'x', x, 'f32', x.size);
  expectTensor('gelu', 'out', out, 'f32', x.size);
}

export function checkGeluBackward({ dOut, x, dX }: GeluBackwardArgs): void {
  expectTensor('geluBackward', 'dOut', dOut, 'f32', x.size);
  expectTensor('geluBackward', 'dX', dX, 'f32', x.size);
}
