import { expectTensor, type Tensor } from '../../tensor.js';

/**
 * out = x / (1 - probability) where the counter generator's bits at (seed, stream, element index)
 * reach the threshold of `probability`, else 0 (https://jmlr.org/papers/v15/srivastava14a.html).
 * The same call on a gradient is the backward.
 */
export interface DropoutArgs {
  readonly x: Tensor;
  /** May be x itself. */
  readonly out: Tensor;
  /** In [0, 1). */
  readonly probability: number;
  /** Unsigned 32-bit integers. */
  readonly seed: number;
  readonly stream: number;
  /** Index of x's first element in the mask: parts of a tensor get their parts of its mask. Default 0. */
  readonly first?: number;
  /** out += instead of out = . */
  readonly accumulate: boolean;
}

export function checkDropout({ x, out }: DropoutArgs): void {
  expectTensor('dropout', 'x', x, 'f32', x.size);
  expectTensor('dropout', 'out', out, 'f32', x.size);
}
