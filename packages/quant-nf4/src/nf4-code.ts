/**
 * The 16 values of the 4-bit NormalFloat, ascending, in f32 (QLoRA, https://arxiv.org/abs/2305.14314,
 * appendix E; bit for bit those of bitsandbytes). Code 7 is zero, codes 0 and 15 are -1 and 1.
 */
export const NF4_CODE: Float32Array = Float32Array.of(
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

/** The code that stands for zero. */
export const ZERO_CODE = 7;

/**
 * The f32 midpoints between neighbouring values: `x` gets the code that counts the thresholds
 * strictly below it. Bit-equal to the constants in bitsandbytes' CUDA kernel.
 */
export const NF4_THRESHOLDS: Float32Array = Float32Array.from({ length: 15 }, (_, i) =>
  Math.fround((NF4_CODE[i]! + NF4_CODE[i + 1]!) / 2),
);

const BUCKETS_PER_UNIT = 2048;
const UNDECIDED = 16;

/**
 * For each slice of [-1, 1] that is 1/2048 wide: its code, or 16 where a threshold runs through it.
 * 15 of the 4097 slices are undecided, so that the search below is almost never taken.
 */
const CODE_OF_BUCKET = Uint8Array.from({ length: 2 * BUCKETS_PER_UNIT + 1 }, (_, bucket) => {
  const low = searchCode(bucket / BUCKETS_PER_UNIT - 1);
  const high = searchCode((bucket + 1) / BUCKETS_PER_UNIT - 1);
  return low === high ? low : UNDECIDED;
});

/** The definition: how many thresholds are strictly below `x`. */
function searchCode(x: number): number {
  let code = 0;
  for (let step = 8; step > 0; step >>= 1) {
    if (x > NF4_THRESHOLDS[code + step - 1]!) code += step;
  }
  return code;
}

/**
 * The NF4 code of a scaled value: the index of its nearest value in {@link NF4_CODE}, the lower one
 * at an exact midpoint.
 *
 * @param x - an f32 value in [-1, 1]; rounding may have carried it one step beyond
 */
export function nf4CodeOf(x: number): number {
  const code = CODE_OF_BUCKET[(x * BUCKETS_PER_UNIT + BUCKETS_PER_UNIT) | 0]!;
  return code === UNDECIDED ? searchCode(x) : code;
}
