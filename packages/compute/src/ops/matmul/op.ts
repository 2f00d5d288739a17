import { expectTensor, type Tensor } from '../../tensor.js';

/** out = alpha * op(a) op(b) + beta * out; all f32, dense and row-major. */
export interface MatmulArgs {
  /** `[m, k]`, or `[k, m]` when transposed. */
  readonly a: Tensor;
  /** `[k, n]`, or `[n, k]` when transposed. */
  readonly b: Tensor;
  /** `[m, n]` */
  readonly out: Tensor;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  readonly alpha: number;
  /** 0 overwrites `out`, whatever it held. */
  readonly beta: number;
}

export function checkMatmul({ a, b, out, m, n, k }: MatmulArgs): void {
  expectTensor('matmul', 'a', a, 'f32', m * k);
  expectTensor('matmul', 'b', b, 'f32', k * n);
  expectTensor('matmul', 'out', out, 'f32', m * n);
}
