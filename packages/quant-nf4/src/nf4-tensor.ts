import { QLoraError } from '@qlorajs/errors';

/** The dtype a weight had before quantization, and to which dequantized values are rounded. */
export type FloatDtype = 'float32' | 'float16' | 'bfloat16';

/** One f32 scale a block. */
export interface PlainScales {
  readonly kind: 'plain';
  /** f32 `[ceil(n / blockSize)]`: the largest magnitude of each block */
  readonly absmax: Float32Array;
}

/** Double quantization (QLoRA, section 3): the scales are themselves 8-bit codes of a dynamic map. */
export interface DoubleQuantizedScales {
  readonly kind: 'double';
  /** u8 `[ceil(n / blockSize)]` */
  readonly codes: Uint8Array;
  /** f32 `[ceil(codes.length / blockSize)]` */
  readonly absmax: Float32Array;
  /** f32 `[256]` */
  readonly codeMap: Float32Array;
  /** f32; added to every decoded scale */
  readonly offset: number;
  /** Codes that share one entry of `absmax`: 256. */
  readonly blockSize: number;
}

/** A weight in NF4: two codes a byte and the scales of its blocks. Plain data. */
export interface Nf4Tensor {
  readonly shape: readonly number[];
  /** The dtype of the source. */
  readonly dtype: FloatDtype;
  /** Values that share one scale, counted over the flattened, row-major tensor. */
  readonly blockSize: number;
  /** u8 `[ceil(n / 2)]`; of each pair, the first value is in the high nibble. */
  readonly codes: Uint8Array;
  readonly scales: PlainScales | DoubleQuantizedScales;
}

/** The block sizes that bitsandbytes' 4-bit kernels take. */
export const NF4_BLOCK_SIZES: readonly number[] = [32, 64, 128, 256, 512, 1024, 2048, 4096];

/** Values in a tensor of this shape. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, dimension) => product * dimension, 1);
}

/** Blocks that have a scale. */
export function scaleCount(scales: PlainScales | DoubleQuantizedScales): number {
  return scales.kind === 'plain' ? scales.absmax.length : scales.codes.length;
}

/**
 * The bytes that an NF4 tensor holds in memory: codes, scales and, with double quantization, its
 * 1 KB code map.
 */
export function nf4Bytes(tensor: Nf4Tensor): number {
  const { codes, scales } = tensor;
  const scaleBytes =
    scales.kind === 'plain'
      ? scales.absmax.byteLength
      : scales.codes.byteLength + scales.absmax.byteLength + scales.codeMap.byteLength;
  return codes.byteLength + scaleBytes;
}

/** @throws {@link QLoraError} `NF4_BLOCK_SIZE` unless bitsandbytes knows the block size. */
export function checkBlockSize(name: string, blockSize: number): void {
  if (NF4_BLOCK_SIZES.includes(blockSize)) return;
  throw new QLoraError(
    'NF4_BLOCK_SIZE',
    `${name}: block size ${blockSize} is not one of ${NF4_BLOCK_SIZES.join(', ')}; 64 is the usual one`,
    { details: { tensor: name, blockSize } },
  );
}

/** @throws {@link QLoraError} `NF4_SHAPE` unless the shape is of positive whole numbers. */
export function checkShape(name: string, shape: readonly number[]): void {
  if (shape.length > 0 && shape.every((each) => Number.isSafeInteger(each) && each > 0)) return;
  throw new QLoraError(
    'NF4_SHAPE',
    `${name}: shape [${shape.join(', ')}] holds no values; give positive whole numbers`,
    { details: { tensor: name, shape } },
  );
}

/** @throws {@link QLoraError} `NF4_SHAPE` unless codes and scales are as many as the shape asks for. */
export function checkLengths({ shape, blockSize, codes, scales }: Nf4Tensor): void {
  const count = elementCount(shape);
  const bytes = Math.ceil(count / 2);
  const blocks = Math.ceil(count / blockSize);
  if (codes.length === bytes && scaleCount(scales) === blocks) return;
  throw new QLoraError(
    'NF4_SHAPE',
    `An NF4 tensor of shape [${shape.join(', ')}] in blocks of ${blockSize} takes ${bytes} bytes of codes and ${blocks} scales, got ${codes.length} and ${scaleCount(scales)}; its parts are of different tensors`,
    { details: { shape, blockSize, codes: codes.length, scales: scaleCount(scales) } },
  );
}
