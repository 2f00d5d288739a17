import { QLoraError } from '@qlorajs/errors';
import { NF4_CODE } from './nf4-code.js';
import { checkLengths, elementCount, type Nf4Tensor } from './nf4-tensor.js';
import { roundToDtype } from './round-to-dtype.js';
import { decodeScales } from './scales.js';

/** Which values to dequantize: all of them by default. */
export interface DequantizeNf4Range {
  /** First value, counted over the flattened tensor. Default 0. */
  readonly start?: number;
  /** One past the last value. Default: the number of values. */
  readonly end?: number;
}

/** Values `[start, end)` of one block, whose 16 possible values are in `table`. */
function decodeBlock(
  codes: Uint8Array,
  table: Float32Array,
  start: number,
  end: number,
  out: Float32Array,
  outStart: number,
): void {
  let at = outStart;
  let i = start;
  if (i % 2 === 1) {
    out[at] = table[codes[i >> 1]! & 15]!;
    at += 1;
    i += 1;
  }
  for (; i + 1 < end; i += 2) {
    const pair = codes[i >> 1]!;
    out[at] = table[pair >> 4]!;
    out[at + 1] = table[pair & 15]!;
    at += 2;
  }
  if (i < end) out[at] = table[codes[i >> 1]! >> 4]!;
}

/**
 * The values of an NF4 tensor: `NF4_CODE[code] * scale` in f32, rounded to the tensor's dtype as
 * bitsandbytes does, and widened again.
 *
 * @param range - dequantizes a part, to bound memory: rows of a `[out, in]` matrix are
 * `{ start: row * in, end: (row + count) * in }`
 * @returns f32 `[end - start]`, row-major
 * @throws {@link QLoraError} `NF4_RANGE` when the range leaves the tensor, `NF4_SHAPE` when the
 * tensor's parts are not as long as its shape asks for
 */
export function dequantizeNf4(tensor: Nf4Tensor, range: DequantizeNf4Range = {}): Float32Array {
  const { codes, blockSize, dtype } = tensor;
  checkLengths(tensor);
  const count = elementCount(tensor.shape);
  const { start = 0, end = count } = range;
  const whole = Number.isInteger(start) && Number.isInteger(end);
  if (!whole || start < 0 || start > end || end > count) {
    throw new QLoraError(
      'NF4_RANGE',
      `Cannot dequantize values ${start} to ${end} of a tensor of ${count}; give 0 <= start <= end <= ${count}`,
      { details: { start, end, count } },
    );
  }
  const firstBlock = Math.floor(start / blockSize);
  const scales = decodeScales(tensor.scales, firstBlock, Math.ceil(end / blockSize));
  const out = new Float32Array(end - start);
  const table = new Float32Array(16);
  for (let at = start; at < end; ) {
    const block = Math.floor(at / blockSize);
    const blockEnd = Math.min((block + 1) * blockSize, end);
    const scale = scales[block - firstBlock]!;
    for (let code = 0; code < 16; code += 1) {
      table[code] = roundToDtype(Math.fround(NF4_CODE[code]! * scale), dtype);
    }
    decodeBlock(codes, table, at, blockEnd, out, at - start);
    at = blockEnd;
  }
  return out;
}
