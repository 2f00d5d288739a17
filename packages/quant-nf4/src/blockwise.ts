import { QLoraError } from '@qlorajs/errors';
import { inverseScale } from './inverse-scale.js';

/** Values as 8-bit codes with one f32 scale a block. */
export interface BlockwiseCodes {
  /** u8 `[n]` */
  readonly codes: Uint8Array;
  /** f32 `[ceil(n / blockSize)]` */
  readonly absmax: Float32Array;
}

const word = new Float32Array(1);
const bits = new Int32Array(word.buffer);

/** The f32 just below `x`. */
function nextDown(x: number): number {
  word[0] = x;
  if (x === 0) return -(2 ** -149);
  bits[0]! += x > 0 ? -1 : 1;
  return word[0]!;
}

/**
 * What separates code k from code k + 1: `x` gets the code that counts the thresholds strictly below
 * it. This is bitsandbytes' CUDA search (`dQuantize`) written as thresholds: its pivot ends on an
 * even code and stays there when `x` lies exactly on a midpoint, so a tie goes to the even one of
 * the two codes, down after an even code and up (hence `nextDown`) after an odd one.
 */
function thresholdsOf(codeMap: Float32Array): Float32Array {
  return Float32Array.from({ length: codeMap.length - 1 }, (_, k) => {
    const middle = Math.fround(Math.fround(codeMap[k]! + codeMap[k + 1]!) * 0.5);
    return k % 2 === 0 ? middle : nextDown(middle);
  });
}

function checkCodeMap(codeMap: Float32Array): void {
  const ascending = codeMap.every((value, i) => i === 0 || value > codeMap[i - 1]!);
  if (codeMap.length === 256 && ascending) return;
  throw new QLoraError(
    'BLOCKWISE_CODE_MAP',
    `A code map must hold 256 ascending values, got ${codeMap.length}${ascending ? '' : ', not ascending'}; make one with dynamicMap`,
    { details: { length: codeMap.length, ascending } },
  );
}

function checkBlockSize(blockSize: number): void {
  if (Number.isSafeInteger(blockSize) && blockSize > 0) return;
  throw new QLoraError(
    'BLOCKWISE_BLOCK_SIZE',
    `Block size ${blockSize} is not a positive whole number; 256 is the usual one`,
    { details: { blockSize } },
  );
}

/** The largest magnitude in a block. @throws `BLOCKWISE_NOT_FINITE` */
function absmaxOf(values: Float32Array, start: number, end: number): number {
  let absmax = 0;
  for (let i = start; i < end; i += 1) absmax = Math.max(absmax, Math.abs(values[i]!));
  if (Number.isFinite(absmax)) return absmax;
  const index = start + values.subarray(start, end).findIndex((each) => !Number.isFinite(each));
  const value = String(values[index]);
  throw new QLoraError(
    'BLOCKWISE_NOT_FINITE',
    `Value ${index} is ${value}; only finite values can be quantized`,
    { details: { index, value } },
  );
}

/**
 * Quantizes values to 8 bits, block by block (Dettmers et al., https://arxiv.org/abs/2110.02861):
 * each block is divided by its largest magnitude and every value takes the code of the nearest entry
 * of `codeMap`. Used for the scales of {@link DoubleQuantizedScales} and for optimizer states.
 *
 * The rounding is that of bitsandbytes' CUDA kernel, ties included. A block of zeros gets code 0,
 * whatever the map: its scale is 0, so that it reads as zero (or -0).
 *
 * @param codeMap - f32 `[256]`, ascending: {@link dynamicMap}
 * @param blockSize - values a scale. Default 256.
 * @throws {@link QLoraError} `BLOCKWISE_NOT_FINITE`, `BLOCKWISE_CODE_MAP`, `BLOCKWISE_BLOCK_SIZE`
 */
export function quantizeBlockwise(
  values: Float32Array,
  codeMap: Float32Array,
  blockSize = 256,
): BlockwiseCodes {
  checkCodeMap(codeMap);
  checkBlockSize(blockSize);
  const thresholds = thresholdsOf(codeMap);
  const codes = new Uint8Array(values.length);
  const absmax = new Float32Array(Math.ceil(values.length / blockSize));
  for (let block = 0; block < absmax.length; block += 1) {
    const start = block * blockSize;
    const end = Math.min(start + blockSize, values.length);
    const scale = absmaxOf(values, start, end);
    absmax[block] = scale;
    if (scale === 0) continue;
    const inverse = inverseScale(scale);
    for (let i = start; i < end; i += 1) {
      const x = Math.fround(values[i]! * inverse);
      let code = 0;
      for (let step = 128; step > 0; step >>= 1) {
        if (x > thresholds[code + step - 1]!) code += step;
      }
      codes[i] = code;
    }
  }
  return { codes, absmax };
}

/**
 * Undoes {@link quantizeBlockwise}: `codeMap[codes[i]] * absmax[floor(i / blockSize)]`, rounded to
 * f32.
 *
 * @throws {@link QLoraError} `BLOCKWISE_LENGTH` when `absmax` does not have one entry a block or the
 * map is not of 256 values, `BLOCKWISE_BLOCK_SIZE`
 */
export function dequantizeBlockwise(
  codes: Uint8Array,
  absmax: Float32Array,
  codeMap: Float32Array,
  blockSize = 256,
): Float32Array {
  checkBlockSize(blockSize);
  const blocks = Math.ceil(codes.length / blockSize);
  if (absmax.length !== blocks || codeMap.length !== 256) {
    throw new QLoraError(
      'BLOCKWISE_LENGTH',
      `${codes.length} codes in blocks of ${blockSize} take ${blocks} scales and a map of 256 values, got ${absmax.length} and ${codeMap.length}`,
      { details: { codes: codes.length, absmax: absmax.length, codeMap: codeMap.length } },
    );
  }
  const values = new Float32Array(codes.length);
  for (let block = 0; block < blocks; block += 1) {
    const scale = absmax[block]!;
    const end = Math.min((block + 1) * blockSize, codes.length);
    for (let i = block * blockSize; i < end; i += 1) values[i] = codeMap[codes[i]!]! * scale;
  }
  return values;
}
