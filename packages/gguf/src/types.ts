import { fromFloat32 } from '@qlorajs/safetensors';

/** How a tensor's values are stored. */
export type GgufType = 'F32' | 'F16' | 'BF16' | 'Q8_0';

/** Values that share a scale in Q8_0. */
const BLOCK = 32;

/** ggml's number of a type, and bytes of so many values. */
export const GGUF_TYPES: Readonly<
  Record<GgufType, { readonly code: number; readonly bytes: (values: number) => number }>
> = {
  F32: { code: 0, bytes: (values) => 4 * values },
  F16: { code: 1, bytes: (values) => 2 * values },
  Q8_0: { code: 8, bytes: (values) => (values / BLOCK) * (2 + BLOCK) },
  BF16: { code: 30, bytes: (values) => 2 * values },
};

/** To nearest, halves away from zero, as C's roundf. */
function roundHalfAway(value: number): number {
  return Math.sign(value) * Math.floor(Math.abs(value) + 0.5);
}

/** ggml's Q8_0: of every 32 values an f16 scale, their largest magnitude / 127, then 32 bytes. */
function toQ8(values: Float32Array): Uint8Array {
  const blocks = values.length / BLOCK;
  const scales = new Float32Array(blocks);
  const out = new Uint8Array(blocks * (2 + BLOCK));
  for (let block = 0; block < blocks; block++) {
    let largest = 0;
    for (let i = 0; i < BLOCK; i++)
      largest = Math.max(largest, Math.abs(values[block * BLOCK + i]));
    scales[block] = Math.fround(largest / 127);
    const inverse = scales[block] === 0 ? 0 : Math.fround(1 / scales[block]);
    for (let i = 0; i < BLOCK; i++) {
      const scaled = Math.fround(values[block * BLOCK + i] * inverse);
      out[block * (2 + BLOCK) + 2 + i] = roundHalfAway(scaled);
    }
  }
  const halves = fromFloat32(scales, 'F16');
  for (let block = 0; block < blocks; block++)
    out.set(halves.subarray(2 * block, 2 * block + 2), block * (2 + BLOCK));
  return out;
}

/** The bytes of values in a type. */
export function encodeValues(values: Float32Array, type: GgufType): Uint8Array {
  return type === 'Q8_0' ? toQ8(values) : fromFloat32(values, type);
}
