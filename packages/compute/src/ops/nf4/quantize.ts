import { floats, halfToNumber, integers } from '../../reference/storage.js';
import { NF4_THRESHOLDS } from '../../weight.js';
import { checkQuantizeNf4, type QuantizeNf4Args, type StoredDType } from './op.js';

/** bitsandbytes' clamp: 1 / absmax of a smaller one would overflow f32. */
const SMALLEST_ABSMAX = Math.fround(1e-38);

function decode(bytes: Uint8Array, dtype: StoredDType): (index: number) => number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (dtype === 'f32') return (i) => view.getFloat32(4 * i, true);
  if (dtype === 'f16') return (i) => halfToNumber(view.getUint16(2 * i, true));
  const word = new DataView(new ArrayBuffer(4));
  return (i) => {
    word.setUint16(0, view.getUint16(2 * i, true));
    return word.getFloat32(0);
  };
}

/** The largest magnitude, NaN where there is one. */
function absmaxOf(value: (index: number) => number, start: number, end: number): number {
  let absmax = 0;
  for (let i = start; i < end; i++) absmax = Math.max(absmax, Math.abs(value(i)));
  return absmax;
}

/**
 * As the operation {@link QuantizeNf4Args} describes it, on bytes of the host.
 * @param codes u8 `[ceil(count / 2)]`, written
 * @param absmax `[ceil(count / blockSize)]`, written
 */
export function quantizeStoredNf4(
  bytes: Uint8Array,
  { dtype, blockSize, count }: { dtype: StoredDType; blockSize: number; count: number },
  codes: Uint8Array,
  absmax: Float32Array | Float64Array,
): void {
  const value = decode(bytes, dtype);
  for (let block = 0; block < absmax.length; block++) {
    const start = block * blockSize;
    const end = Math.min(count, start + blockSize);
    absmax[block] = absmaxOf(value, start, end);
    const inverse = Math.fround(1 / Math.max(absmax[block], SMALLEST_ABSMAX));
    const codeOf = (i: number) => {
      const x = i < end ? Math.fround(value(i) * inverse) : 0;
      return NF4_THRESHOLDS.filter((threshold) => x > threshold).length;
    };
    for (let i = start; i < end; i += 2) codes[i / 2] = (codeOf(i) << 4) | codeOf(i + 1);
  }
}

export function quantizeNf4(args: QuantizeNf4Args): void {
  const { stored, dtype, blockSize, codes, absmax } = args;
  const count = checkQuantizeNf4(args);
  const bytes = integers(stored) as Uint8Array;
  const form = { dtype, blockSize, count };
  quantizeStoredNf4(bytes, form, integers(codes) as Uint8Array, floats(absmax));
}
