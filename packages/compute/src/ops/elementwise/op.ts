import { expectTensor, type Tensor } from '../../tensor.js';

/** out = alpha * x + beta * out. */
export interface AxpbyArgs {
  readonly x: Tensor;
  readonly out: Tensor;
  readonly alpha: number;
  /** 0 overwrites `out`, whatever it held. */
  readonly beta: number;
}

/** out = value, in every element. */
export interface FillArgs {
  readonly out: Tensor;
  readonly value: number;
}

export function checkAxpby({ x, out }: AxpbyArgs): void {
  expectTensor('axpby', 'x', x, 'f32', x.size);
  expectTensor('axpby', 'out', out, 'f32', x.size);
}

export function checkFill({ out }: FillArgs): void {
  expectTensor('fill', 'out', out, 'f32', out.size);
}
