import type { Tensor } from './tensor.js';

/** One f32 scale a block. */
export interface PlainScales {
  readonly kind: 'plain';
  /** f32 `[ceil(n / blockSize)]` */
  readonly absmax: Tensor;
}

/** Double quantization (QLoRA, section 3): the scales are themselves 8-bit codes of a dynamic map. */
export interface DoubleQuantizedScales {
  readonly kind: 'double';
  /** u8 `[ceil(n / blockSize)]` */
  readonly codes: Tensor;
  /** f32 `[ceil(codes / blockSize)]` */
  readonly absmax: Tensor;
  /** f32 `[256]` */
  readonly codeMap: Tensor;
  /** Added to every decoded scale. */
  readonly offset: number;
  /** Codes that share one entry of `absmax`: 256. */
  readonly blockSize: number;
}

/**
 * A frozen weight `[out, in]` in NF4 (QLoRA, https://arxiv.org/abs/2305.14314): two codes a byte,
 * first element in the high nibble, blocks of `blockSize` over the flattened matrix.
 * Element i is `NF4_CODE[code[i]] * scale[floor(i / blockSize)]`.
 */
export interface Nf4Weight {
  readonly kind: 'nf4';
  /** `[out, in]` */
  readonly shape: readonly [number, number];
  readonly blockSize: number;
  /** u8 `[ceil(out * in / 2)]` */
  readonly codes: Tensor;
  readonly scales: PlainScales | DoubleQuantizedScales;
}

/** A dense weight `[out, in]`, f32 or f16. */
export interface DenseWeight {
  readonly kind: 'dense';
  readonly shape: readonly [number, number];
  readonly values: Tensor;
}

/** What a linear layer multiplies by. */
export type LinearWeight = DenseWeight | Nf4Weight;

/** The device tensors that a weight consists of, to free or to count them. */
export function weightTensors(weight: LinearWeight): Tensor[] {
  if (weight.kind === 'dense') return [weight.values];
  const { codes, scales } = weight;
  return scales.kind === 'plain'
    ? [codes, scales.absmax]
    : [codes, scales.codes, scales.absmax, scales.codeMap];
}

/** The 16 values of NF4 in f32 (bitsandbytes, csrc/kernels.cu). */
export const NF4_CODE = Float32Array.of(
  -1,
  -0.6961928009986877,
  -0.5250730514526367,
  -0.39491748809814453,
  -0.28444138169288635,
  -0.18477343022823334,
  -0.09105003625154495,
  0,
  0.07958029955625534,
  0.16093020141124725,
  0.24611230194568634,
  0.33791524171829224,
  0.44070982933044434,
  0.5626170039176941,
  0.7229568362236023,
  1,
);

/**
 * The f32 midpoints between neighbouring values of {@link NF4_CODE}: a value takes the code that counts
 * the thresholds strictly below it.
 */
export const NF4_THRESHOLDS = Float32Array.from(
  { length: 15 },
  (_, i) => (NF4_CODE[i] + NF4_CODE[i + 1]) / 2,
);
