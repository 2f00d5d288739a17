import { QLoraError } from '@qlorajs/errors';
import { inverseScale } from './inverse-scale.js';
import { nf4CodeOf, ZERO_CODE } from './nf4-code.js';
import {
  checkBlockSize,
  checkShape,
  elementCount,
  type FloatDtype,
  type Nf4Tensor,
} from './nf4-tensor.js';
import { doubleQuantize } from './scales.js';

/** How a weight is quantized. */
export interface QuantizeNf4Options {
  readonly shape: readonly number[];
  /** The tensor's name, for errors. Default `tensor`. */
  readonly name?: string;
  /** The dtype that the values were widened from. Default `float32`. */
  readonly dtype?: FloatDtype;
  /** Values a scale: a power of two from 32 to 4096. Default 64. */
  readonly blockSize?: number;
  /** Quantize the scales as well, from 4.5 to 4.127 bits a value. Default true. */
  readonly doubleQuant?: boolean;
}

/** Takes a tensor's values piece by piece, so that only one piece is ever widened to f32. */
export interface Nf4Quantizer {
  /** The next values, in row-major order, any number of them. */
  push(values: Float32Array): void;
  /** The quantized tensor, once all values are in. */
  finish(): Nf4Tensor;
}

/** The largest magnitude in `values[start, end)`: NaN or Infinity if one of them is. */
function absmaxOf(values: Float32Array, start: number, end: number): number {
  let even = 0;
  let odd = 0;
  let i = start;
  // Two chains: each maximum waits for the one before it.
  for (; i + 1 < end; i += 2) {
    even = Math.max(even, Math.abs(values[i]!));
    odd = Math.max(odd, Math.abs(values[i + 1]!));
  }
  if (i < end) even = Math.max(even, Math.abs(values[i]!));
  return Math.max(even, odd);
}

/**
 * Writes the packed codes of one block.
 *
 * A block of zeros gets code 7, whose value is exactly 0, as in bitsandbytes' default backend. Its
 * CUDA kernel computes 0 * (1/0) = NaN there and stores code 0, which reads as minus the scale: that
 * is -0 with plain scales, but a small wrong value with double quantization, where the scale of a
 * zero block does not decode to exactly 0. Reading takes either.
 */
function encodeBlock(
  values: Float32Array,
  start: number,
  end: number,
  absmax: number,
  codes: Uint8Array,
  byteOffset: number,
): void {
  const inverse = inverseScale(absmax);
  let byte = byteOffset;
  let i = start;
  for (; i + 1 < end; i += 2) {
    const high = nf4CodeOf(Math.fround(values[i]! * inverse));
    const low = nf4CodeOf(Math.fround(values[i + 1]! * inverse));
    codes[byte] = (high << 4) | low;
    byte += 1;
  }
  // The nibble after an odd count is the code of zero, as bitsandbytes pads it.
  if (i < end) codes[byte] = (nf4CodeOf(Math.fround(values[i]! * inverse)) << 4) | ZERO_CODE;
}

/** @throws {@link QLoraError} `NF4_NOT_FINITE` for the first NaN or infinity of the block. */
function throwNotFinite(name: string, values: Float32Array, start: number, first: number): never {
  let at = start;
  while (Number.isFinite(values[at])) at += 1;
  const index = first + at - start;
  const value = String(values[at]);
  throw new QLoraError(
    'NF4_NOT_FINITE',
    `${name}: value ${index} is ${value}; only finite weights can be quantized: the file is damaged or its values overflowed when it was saved in half precision`,
    { details: { tensor: name, index, value } },
  );
}

/**
 * Quantizes a tensor that arrives in pieces: as {@link quantizeNf4}, in memory for one piece and the
 * result.
 *
 * @throws {@link QLoraError} `NF4_SHAPE`, `NF4_BLOCK_SIZE`; `push` throws `NF4_NOT_FINITE`, and
 * `push` and `finish` throw `NF4_SHAPE` when the number of values is not that of the shape; `finish`
 * throws `NF4_SCALES_OVERFLOW`.
 *
 * @example
 * ```ts
 * import { createNf4Quantizer } from '@qlorajs/quant-nf4';
 *
 * const quantizer = createNf4Quantizer({ shape: [2, 64], name: 'fc1.weight' });
 * for (let row = 0; row < 2; row += 1) quantizer.push(new Float32Array(64).fill(row + 1));
 * console.log(quantizer.finish().codes.length); // 64
 * ```
 */
export function createNf4Quantizer(options: QuantizeNf4Options): Nf4Quantizer {
  const { name = 'tensor', dtype = 'float32', blockSize = 64, doubleQuant = true } = options;
  const shape = [...options.shape];
  checkShape(name, shape);
  checkBlockSize(name, blockSize);
  const count = elementCount(shape);
  const codes = new Uint8Array(Math.ceil(count / 2));
  const absmax = new Float32Array(Math.ceil(count / blockSize));
  /** Values of a block whose end has not arrived. */
  const pending = new Float32Array(blockSize);
  let pendingCount = 0;
  /** Values already encoded: a multiple of the block size until the last block. */
  let done = 0;

  const encode = (values: Float32Array, start: number, end: number): void => {
    const scale = absmaxOf(values, start, end);
    if (!Number.isFinite(scale)) throwNotFinite(name, values, start, done);
    absmax[done / blockSize] = scale;
    encodeBlock(values, start, end, scale, codes, done / 2);
    done += end - start;
  };

  const countError = (got: number): QLoraError =>
    new QLoraError(
      'NF4_SHAPE',
      `${name}: shape [${shape.join(', ')}] takes ${count} values, got ${got}; give the tensor's own shape`,
      { details: { tensor: name, shape, expected: count, got } },
    );

  return {
    push(values) {
      if (done + pendingCount + values.length > count) {
        throw countError(done + pendingCount + values.length);
      }
      let at = 0;
      if (pendingCount > 0) {
        at = Math.min(blockSize - pendingCount, values.length);
        pending.set(values.subarray(0, at), pendingCount);
        pendingCount += at;
        if (pendingCount < blockSize) return;
        pendingCount = 0;
        encode(pending, 0, blockSize);
      }
      for (; at + blockSize <= values.length; at += blockSize) encode(values, at, at + blockSize);
      pending.set(values.subarray(at));
      pendingCount = values.length - at;
    },
    finish() {
      if (done + pendingCount !== count) throw countError(done + pendingCount);
      if (pendingCount > 0) encode(pending, 0, pendingCount);
      pendingCount = 0;
      const scales = doubleQuant
        ? doubleQuantize(absmax, name)
        : ({ kind: 'plain', absmax } as const);
      return { shape, dtype, blockSize, codes, scales };
    },
  };
}

/**
 * Quantizes a weight to 4-bit NormalFloat (QLoRA, https://arxiv.org/abs/2305.14314): each block of
 * `blockSize` consecutive values is divided by its largest magnitude and every value takes the
 * nearest of the 16 values of `NF4_CODE`. Codes, scales and the order of the nibbles are bit
 * for bit those of bitsandbytes' `quantize_4bit(quant_type='nf4')`.
 *
 * Every block is scaled by `fround(1 / absmax)`, as in bitsandbytes' CUDA kernel; its CPU code
 * divides in a last, partial block, which can change a code that lies on a threshold.
 *
 * @param values - f32, row-major: the source, widened
 * @throws {@link QLoraError} `NF4_NOT_FINITE` names the tensor and the first offending index,
 * `NF4_SHAPE`, `NF4_BLOCK_SIZE`, `NF4_SCALES_OVERFLOW`
 *
 * @example
 * ```ts
 * import { dequantizeNf4, quantizeNf4 } from '@qlorajs/quant-nf4';
 *
 * const tensor = quantizeNf4(Float32Array.of(-2, -0.3, 0.3, 1), { shape: [2, 2], doubleQuant: false });
 * const decoded = Array.from(dequantizeNf4(tensor), (x) => x.toFixed(2));
 * console.log(decoded.join(' ')); // -2.00 -0.37 0.32 0.88
 * ```
 */
export function quantizeNf4(values: Float32Array, options: QuantizeNf4Options): Nf4Tensor {
  const quantizer = createNf4Quantizer(options);
  quantizer.push(values);
  return quantizer.finish();
}
