/** Tensors of fewer elements keep f32 moments: their 8-bit form would save little (bitsandbytes, `min_8bit_size`). */
export const MIN_8BIT_SIZE = 4096;

/** Elements that share a scale. */
export const ADAM_BLOCK_SIZE = 256;

/** Moments in f32. */
export interface Adam32bitState {
  readonly kind: '32bit';
  /** f32 `[n]` */
  readonly firstMoment: Float32Array;
  /** f32 `[n]` */
  readonly secondMoment: Float32Array;
}

/**
 * Moments as codes of the dynamic data type with one scale a block of {@link ADAM_BLOCK_SIZE}
 * (https://arxiv.org/abs/2110.02861); 1 stands for the first moment (signed), 2 for the second.
 */
export interface Adam8bitState {
  readonly kind: '8bit';
  /** u8 `[n]` */
  readonly codes1: Uint8Array;
  /** u8 `[n]` */
  readonly codes2: Uint8Array;
  /** f32 `[ceil(n / 256)]` */
  readonly absmax1: Float32Array;
  /** f32 `[ceil(n / 256)]` */
  readonly absmax2: Float32Array;
}

export type AdamState = Adam8bitState | Adam32bitState;

/** Zero moments for a tensor of `size` elements: 8-bit from {@link MIN_8BIT_SIZE} on, as bitsandbytes. */
export function createAdamState(size: number, min8bitSize = MIN_8BIT_SIZE): AdamState {
  if (size < min8bitSize)
    return {
      kind: '32bit',
      firstMoment: new Float32Array(size),
      secondMoment: new Float32Array(size),
    };
  const blocks = Math.ceil(size / ADAM_BLOCK_SIZE);
  return {
    kind: '8bit',
    codes1: new Uint8Array(size),
    codes2: new Uint8Array(size),
    absmax1: new Float32Array(blocks),
    absmax2: new Float32Array(blocks),
  };
}

/** Bytes of a state: 2 + 8 / 256 an element in 8 bits, 8 in 32. */
export function adamStateBytes(state: AdamState): number {
  if (state.kind === '32bit') return state.firstMoment.byteLength + state.secondMoment.byteLength;
  const { codes1, codes2, absmax1, absmax2 } = state;
  return codes1.byteLength + codes2.byteLength + absmax1.byteLength + absmax2.byteLength;
}
