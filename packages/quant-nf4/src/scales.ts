import { QLoraError } from '@qlorajs/errors';
import { quantizeBlockwise } from './blockwise.js';
import { dynamicMap } from './dynamic-map.js';
import { type DoubleQuantizedScales, type PlainScales, scaleCount } from './nf4-tensor.js';
import { torchMean } from './torch-mean.js';

/** Scales that share one scale of their own: bitsandbytes' constant. */
const NESTED_BLOCK_SIZE = 256;

/**
 * Double quantization of a tensor's scales (QLoRA, section 3): the mean is taken off, since scales
 * are all positive, and the rest is quantized to 8 bits.
 *
 * The mean is {@link torchMean}: that of torch in one thread of an x86 CPU. A GPU sums in another
 * order, so that its mean, and with it a code that lies on a threshold, can differ in the last bit.
 *
 * @throws {@link QLoraError} `NF4_SCALES_OVERFLOW` when the sum of the scales leaves f32's range
 */
export function doubleQuantize(absmax: Float32Array, name: string): DoubleQuantizedScales {
  const offset = torchMean(absmax);
  if (!Number.isFinite(offset)) {
    throw new QLoraError(
      'NF4_SCALES_OVERFLOW',
      `${name}: the sum of its ${absmax.length} scales leaves the range of f32; such weights are damaged, or take doubleQuant: false`,
      { details: { tensor: name, scales: absmax.length } },
    );
  }
  const codeMap = dynamicMap(true);
  const nested = quantizeBlockwise(
    absmax.map((scale) => scale - offset),
    codeMap,
    NESTED_BLOCK_SIZE,
  );
  return { kind: 'double', ...nested, codeMap, offset, blockSize: NESTED_BLOCK_SIZE };
}

/**
 * The f32 scale of every block, or of blocks `[start, end)`. With double quantization that of a block
 * of small values can come out slightly negative: bitsandbytes decodes it so, too.
 *
 * @returns f32 `[end - start]`
 */
export function decodeScales(
  scales: PlainScales | DoubleQuantizedScales,
  start = 0,
  end = scaleCount(scales),
): Float32Array {
  if (scales.kind === 'plain') return scales.absmax.slice(start, end);
  const { codes, absmax, codeMap, blockSize, offset } = scales;
  const decoded = new Float32Array(end - start);
  for (let i = start; i < end; i += 1) {
    const centred = Math.fround(codeMap[codes[i]!]! * absmax[Math.floor(i / blockSize)]!);
    decoded[i - start] = centred + offset;
  }
  return decoded;
}
