import { narrowBfloat16, widenBfloat16 } from './bfloat16.js';
import type { SafetensorsDtype } from './dtypes.js';
import { type Place, safetensorsError } from './errors.js';
import { narrowFloat16, widenFloat16 } from './float16.js';

/** Bytes an element of the dtypes that widen to f32. */
const WIDTHS: ReadonlyMap<SafetensorsDtype, number> = new Map([
  ['F64', 8],
  ['F32', 4],
  ['F16', 2],
  ['BF16', 2],
]);

/** Bytes an element of a dtype that {@link widenInto} takes; throws for any other. */
export function floatWidth(dtype: SafetensorsDtype, place: Place = {}): number {
  const width = WIDTHS.get(dtype);
  if (width !== undefined) return width;
  throw safetensorsError(
    'SAFETENSORS_NOT_FLOAT',
    place,
    `${dtype} does not widen to f32 (F64, F32, F16 and BF16 do)`,
    'read its bytes instead',
    { details: { dtype } },
  );
}

/** Typed arrays need aligned memory, and data of old files may start at any byte. */
function aligned(bytes: Uint8Array, width: number): Uint8Array {
  return bytes.byteOffset % width === 0 ? bytes : new Uint8Array(bytes);
}

/** Widens little-endian elements into `out` from index `at`. `bytes` holds whole elements. */
export function widenInto(
  bytes: Uint8Array,
  dtype: SafetensorsDtype,
  out: Float32Array,
  at: number,
): void {
  const width = floatWidth(dtype);
  const count = bytes.byteLength / width;
  if (dtype === 'F32') {
    new Uint8Array(out.buffer, out.byteOffset + at * 4, bytes.byteLength).set(bytes);
    return;
  }
  const { buffer, byteOffset } = aligned(bytes, width);
  if (dtype === 'F64') {
    out.set(new Float64Array(buffer, byteOffset, count), at);
    return;
  }
  const halves = new Uint16Array(buffer, byteOffset, count);
  const bits = new Uint32Array(out.buffer, out.byteOffset + at * 4, count);
  if (dtype === 'F16') widenFloat16(halves, bits);
  else widenBfloat16(halves, bits);
}

/**
 * Widens elements to f32: F16 and BF16 exactly (a NaN keeps its payload), F64 rounded to
 * nearest even. The result is always a new array; `bytes` may start at any offset.
 *
 * @param bytes little-endian elements
 * @throws QLoraError `SAFETENSORS_NOT_FLOAT` for other dtypes, `SAFETENSORS_DATA_LENGTH` when
 * the bytes are not whole elements
 *
 * @example
 * ```ts
 * import { toFloat32 } from '@qlorajs/safetensors';
 *
 * console.log(toFloat32(new Uint8Array([0x00, 0x3c, 0x01, 0x00]), 'F16')); // Float32Array(2) [ 1, 5.960464477539063e-8 ]
 * ```
 */
export function toFloat32(bytes: Uint8Array, dtype: SafetensorsDtype): Float32Array {
  const count = bytes.byteLength / floatWidth(dtype);
  if (!Number.isInteger(count)) {
    throw safetensorsError(
      'SAFETENSORS_DATA_LENGTH',
      {},
      `${bytes.byteLength} bytes are not whole ${dtype} elements`,
      'pass all bytes of the tensor, or a range that ends between elements',
    );
  }
  const out = new Float32Array(count);
  widenInto(bytes, dtype, out, 0);
  return out;
}

/**
 * The little-endian bytes of f32 values in another float dtype, rounded to nearest even as
 * PyTorch and NumPy do; values beyond the dtype's range become infinities.
 *
 * @returns a new array of `values.length` elements
 * @throws QLoraError `SAFETENSORS_DTYPE` for other dtypes
 *
 * @example
 * ```ts
 * import { fromFloat32 } from '@qlorajs/safetensors';
 *
 * console.log(fromFloat32(new Float32Array([1 / 3]), 'BF16')); // Uint8Array(2) [ 171, 62 ]
 * ```
 */
export function fromFloat32(values: Float32Array, dtype: 'F32' | 'F16' | 'BF16'): Uint8Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  if (dtype === 'F32') return new Uint8Array(bits.slice().buffer);
  const out = new Uint16Array(values.length);
  if (dtype === 'F16') narrowFloat16(bits, out);
  else if (dtype === 'BF16') narrowBfloat16(bits, out);
  else {
    const problem = `f32 values cannot be stored as ${String(dtype satisfies never)}`;
    throw safetensorsError('SAFETENSORS_DTYPE', {}, problem, 'choose F32, F16 or BF16');
  }
  return new Uint8Array(out.buffer);
}
