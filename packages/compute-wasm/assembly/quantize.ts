import { chunkCount, integer, nextChunk, pointer, threadScratch } from './control';
import { widenHalves } from './half';

// Integers: stored, codes, absmax, count of values, block size, kind of the stored values.
const STORED: i32 = 0;
const CODES: i32 = 1;
const ABSMAX: i32 = 2;
const COUNT: i32 = 3;
const BLOCK: i32 = 4;
const KIND: i32 = 5;
const F32: i32 = 0;
const F16: i32 = 1;

const CHUNK_BLOCKS: i32 = 64;

/** The midpoints between neighbouring NF4 values, as bits of f32 so that nothing rounds them. */
const THRESHOLDS: usize = memory.data<u32>([
  0xbf591cd8, 0xbf1c5270, 0xbeeb8480, 0xbeadea76, 0xbe703cec, 0xbe0d38bc, 0xbd3a7871, 0x3d22faff,
  0x3df64862, 0x3e5067e0, 0x3e9582d4, 0x3ec753f9, 0x3f006d04, 0x3f248daf, 0x3f5c89da,
]);
const THRESHOLD_COUNT: usize = 15;

/** 16 and 1 in turn, to put two codes into a byte. */
const NIBBLES: usize = memory.data<u32>([0x00010010]);

/** Values [start, start + count) as f32 in the scratch; zeros up to a multiple of eight. */
function widen(start: i32, count: i32, to: usize): void {
  const kind = integer(KIND);
  const filled = <usize>((count + 7) & ~7);
  memory.fill(to + ((<usize>count) << 2), 0, (filled - <usize>count) << 2);
  const from = pointer(STORED) + ((<usize>start) << (kind == F32 ? 2 : 1));
  if (kind == F32) {
    memory.copy(to, from, (<usize>count) << 2);
  } else if (kind == F16) {
    widenHalves(from, count, to);
  } else {
    let i: usize = 0;
    for (; i + 8 <= <usize>count; i += 8) {
      const halves = v128.load(from + (i << 1));
      v128.store(to + (i << 2), i32x4.shl(i32x4.extend_low_i16x8_u(halves), 16));
      v128.store(to + (i << 2), i32x4.shl(i32x4.extend_high_i16x8_u(halves), 16), 16);
    }
    for (; i < <usize>count; i++)
      store<u32>(to + (i << 2), (<u32>load<u16>(from + (i << 1))) << 16);
  }
}

/** The bits of the largest magnitude: integers, so that NaN and infinities are the largest. */
function largest(from: usize, count: i32): i32 {
  const mask = i32x4.splat(0x7fffffff);
  let most = i32x4.splat(0);
  for (let i = 0; i < count; i += 4)
    most = i32x4.max_s(most, v128.and(v128.load(from + ((<usize>i) << 2)), mask));
  return max(
    max(i32x4.extract_lane(most, 0), i32x4.extract_lane(most, 1)),
    max(i32x4.extract_lane(most, 2), i32x4.extract_lane(most, 3)),
  );
}

/** The codes of eight values, two a byte: their thresholds are counted. */
function encode(from: usize, scale: v128): v128 {
  const low = f32x4.mul(v128.load(from), scale);
  const high = f32x4.mul(v128.load(from, 16), scale);
  let lowCodes = i32x4.splat(0);
  let highCodes = i32x4.splat(0);
  for (let t: usize = 0; t < THRESHOLD_COUNT; t++) {
    const threshold = v128.load_splat<u32>(THRESHOLDS + (t << 2));
    lowCodes = i32x4.sub(lowCodes, f32x4.gt(low, threshold));
    highCodes = i32x4.sub(highCodes, f32x4.gt(high, threshold));
  }
  const codes = i16x8.narrow_i32x4_s(lowCodes, highCodes);
  const bytes = i32x4.dot_i16x8_s(codes, v128.load_splat<u32>(NIBBLES));
  const words = i16x8.narrow_i32x4_u(bytes, bytes);
  return i8x16.narrow_i16x8_u(words, words);
}

/** As bitsandbytes: f32(1 / absmax) times the value, rounded, and its nearest code. */
function quantizeBlock(block: i32, values: usize): void {
  const start = block * integer(BLOCK);
  const count = min(integer(BLOCK), integer(COUNT) - start);
  widen(start, count, values);
  const absmax = reinterpret<f32>(largest(values, (count + 3) & ~3));
  store<f32>(pointer(ABSMAX) + ((<usize>block) << 2), absmax);
  const scale = f32x4.splat(1 / max(absmax, reinterpret<f32>(0x006ce3ee)));
  let to = pointer(CODES) + (<usize>start >> 1);
  for (let i = 0; i < count; i += 8) {
    const bytes = encode(values + ((<usize>i) << 2), scale);
    if (i + 8 <= count) {
      v128.store32_lane(to, bytes, 0);
    } else {
      for (let j = 0, word = i32x4.extract_lane(bytes, 0); i + 2 * j < count; j++)
        store<u8>(to + <usize>j, word >> (8 * j));
    }
    to += 4;
  }
}

export function quantizeNf4(thread: i32): void {
  const blocks = (integer(COUNT) + integer(BLOCK) - 1) / integer(BLOCK);
  for (let chunk = nextChunk(); chunk < chunkCount(); chunk = nextChunk()) {
    const end = min(blocks, (chunk + 1) * CHUNK_BLOCKS);
    for (let block = chunk * CHUNK_BLOCKS; block < end; block++)
      quantizeBlock(block, threadScratch(thread));
  }
}
