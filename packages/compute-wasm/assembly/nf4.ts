// NF4 (QLoRA, https://arxiv.org/abs/2305.14314): two codes a byte, the first element in the high
// nibble, a scale for every block of the flattened matrix.
import { float, integer, pointer } from './control';

// f32 pairs for every byte: one load decodes two elements. It fills [1024, 3072) of the first page.
const PAIRS: usize = 1024;

// Where the caller puts the description of a weight among the arguments; see src/engine/weight.ts.
export const WEIGHT: i32 = 24;
const WEIGHT_FLOAT: i32 = 12;

/** Fills the table of pairs from the 16 codes at `codes`. */
export function initialize(codes: usize): void {
  for (let byte: usize = 0; byte < 256; byte++) {
    store<f32>(PAIRS + (byte << 3), load<f32>(codes + ((byte >> 4) << 2)));
    store<f32>(PAIRS + (byte << 3), load<f32>(codes + ((byte & 15) << 2)), 4);
  }
}

/**
 * Four elements, unscaled, of the two bytes at bits `shift` and `shift + 8` of `word`. The shifts put
 * each byte where it is a multiple of 8, the bytes of a pair.
 */
export function quad(word: u32, shift: u32): v128 {
  const first = shift == 0 ? (word << 3) & 0x7f8 : (word >> (shift - 3)) & 0x7f8;
  const second = (word >> (shift + 5)) & 0x7f8;
  return v128.load64_lane(second, v128.load64_zero(first, PAIRS), 1, PAIRS);
}

export function blockSize(): i32 {
  return integer(WEIGHT + 2);
}

/** The scale of a block. Double-quantized ones are decoded as bitsandbytes does: round, then add. */
export function blockScale(block: u32): f32 {
  const absmax = pointer(WEIGHT + 4);
  if (integer(WEIGHT + 3) == 0) return load<f32>(absmax + ((<usize>block) << 2));
  const code = load<u8>(pointer(WEIGHT + 5) + block);
  const nested = load<f32>(absmax + ((<usize>(block / <u32>integer(WEIGHT + 7))) << 2));
  return load<f32>(pointer(WEIGHT + 6) + ((<usize>code) << 2)) * nested + float(WEIGHT_FLOAT);
}

/** Elements [start, start + count) of the flattened matrix, as f32 at `to`. Any alignment. */
export function decodeNf4(start: u32, count: i32, to: usize): void {
  const codes = pointer(WEIGHT + 1);
  const size = <u32>blockSize();
  const end = start + <u32>count;
  let i = start;
  let block = start / size;
  let stop = block * size;
  while (i < end) {
    stop = min(end, (block + 1) * size);
    const scale = blockScale(block++);
    const scales = f32x4.splat(scale);
    if (i & 1) {
      store<f32>(to, load<f32>(PAIRS + ((<usize>load<u8>(codes + (i >> 1))) << 3), 4) * scale);
      i++;
      to += 4;
    }
    for (; i + 8 <= stop; i += 8) {
      const bytes = load<u32>(codes + (i >> 1));
      v128.store(to, f32x4.mul(quad(bytes, 0), scales));
      v128.store(to, f32x4.mul(quad(bytes, 16), scales), 16);
      to += 32;
    }
    for (; i < stop; i++) {
      const byte = load<u8>(codes + (i >> 1));
      store<f32>(to, load<f32>(PAIRS + ((<usize>byte) << 3) + ((<usize>(i & 1)) << 2)) * scale);
      to += 4;
    }
  }
}
