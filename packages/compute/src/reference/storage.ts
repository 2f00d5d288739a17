import type { DType, Tensor } from '../tensor.js';

/** What a reference tensor's `storage` is: f32 and f16 are kept, and computed with, in float64. */
export interface ReferenceStorage {
  readonly data: Float64Array | Int32Array | Uint32Array | Uint8Array;
}

export function allocate(dtype: DType, size: number): ReferenceStorage['data'] {
  if (dtype === 'u8') return new Uint8Array(size);
  if (dtype === 'i32') return new Int32Array(size);
  if (dtype === 'u32') return new Uint32Array(size);
  return new Float64Array(size);
}

/** The float64 elements of an f32 or f16 tensor; writes go through. */
export function floats(tensor: Tensor): Float64Array {
  const { data } = tensor.storage as ReferenceStorage;
  return (data as Float64Array).subarray(tensor.offset, tensor.offset + tensor.size);
}

/** The elements of an integer tensor. */
export function integers(tensor: Tensor): Int32Array | Uint8Array {
  const { data } = tensor.storage as ReferenceStorage;
  return (data as Int32Array).subarray(tensor.offset, tensor.offset + tensor.size);
}

/** An IEEE 754 binary16 from its bits. */
export function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
