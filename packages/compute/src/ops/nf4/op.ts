import { QLoraError } from '@qlorajs/errors';
import { expectTensor, type Tensor } from '../../tensor.js';
import type { Nf4Weight } from '../../weight.js';

/** How checkpoints store the values of a weight, and the bytes of one. */
export const STORED_BYTES = { f32: 4, f16: 2, bf16: 2 } as const;

export type StoredDType = keyof typeof STORED_BYTES;

/**
 * Values to NF4 with plain scales, bit for bit as bitsandbytes (and `@qlorajs/quant-nf4`) have them:
 * every block of `blockSize` values is multiplied by the f32 nearest to 1 / absmax, and a product
 * takes the code of the nearest of the 16 values, the lower one at a midpoint.
 *
 * A block that holds NaN or an infinity gets an absmax that is not finite, and any codes. So may, on a
 * GPU, the codes of a block whose absmax lies outside 2^-100 to 2^100 and is not 0.
 */
export interface QuantizeNf4Args {
  /** u8 `[n * width]`: little-endian values as a checkpoint stores them, on a boundary of 4 bytes */
  readonly stored: Tensor;
  readonly dtype: StoredDType;
  /** Values a scale: a multiple of 8 */
  readonly blockSize: number;
  /** u8 `[ceil(n / 2)]`, on a boundary of 4 bytes; the nibble after an odd n is the code of zero */
  readonly codes: Tensor;
  /** f32 `[ceil(n / blockSize)]` */
  readonly absmax: Tensor;
}

/** @returns n, the number of values */
export function checkQuantizeNf4(args: QuantizeNf4Args): number {
  const { stored, dtype, blockSize, codes, absmax } = args;
  const width = STORED_BYTES[dtype];
  const count = Math.floor(stored.size / width);
  const aligned = stored.offset % 4 === 0 && codes.offset % 4 === 0;
  if (!(Number.isInteger(blockSize) && blockSize > 0 && blockSize % 8 === 0 && aligned))
    throw new QLoraError(
      'COMPUTE_SHAPE',
      `quantizeNf4: blockSize ${blockSize} must be a multiple of 8, and stored (at ${stored.offset}) and codes (at ${codes.offset}) start on 4 bytes`,
      { kind: 'runtime', details: { blockSize, stored: stored.offset, codes: codes.offset } },
    );
  expectTensor('quantizeNf4', 'stored', stored, 'u8', count * width);
  expectTensor('quantizeNf4', 'codes', codes, 'u8', Math.ceil(count / 2));
  expectTensor('quantizeNf4', 'absmax', absmax, 'f32', Math.ceil(count / blockSize));
  return count;
}

/** out = the dense f32 form of an NF4 weight. */
export interface DequantizeNf4Args {
  readonly weight: Nf4Weight;
  /** f32 `[out, in]` */
  readonly out: Tensor;
}

export function checkDequantizeNf4({ weight, out }: DequantizeNf4Args): void {
  expectTensor('dequantizeNf4', 'out', out, 'f32', weight.shape[0] * weight.shape[1]);
}
