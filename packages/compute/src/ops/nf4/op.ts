import { expectTensor, type Tensor } from '../../tensor.js';
import type { Nf4Weight } from '../../weight.js';

/** out = the dense f32 form of an NF4 weight. */
export interface DequantizeNf4Args {
  readonly weight: Nf4Weight;
  /** f32 `[out, in]` */
  readonly out: Tensor;
}

export function checkDequantizeNf4({ weight, out }: DequantizeNf4Args): void {
  expectTensor('dequantizeNf4', 'out', out, 'f32', weight.shape[0] * weight.shape[1]);
}
