import type { Backend, DType, Tensor, TensorData } from '@qlorajs/compute';

const ARRAYS = {
  f32: Float32Array,
  f16: Uint16Array,
  u8: Uint8Array,
  i32: Int32Array,
  u32: Uint32Array,
} as const;

/** The bytes of an array's elements. */
export function bytesOf({ buffer, byteOffset, byteLength }: TensorData): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** Bytes as the array that a tensor of this dtype is written from. */
export function arrayOf(dtype: DType, bytes: Uint8Array): TensorData {
  const { BYTES_PER_ELEMENT: unit } = ARRAYS[dtype];
  const { buffer, byteOffset, byteLength } =
    bytes.byteOffset % unit === 0 ? bytes : Uint8Array.from(bytes);
  return new ARRAYS[dtype](buffer as ArrayBuffer, byteOffset, byteLength / unit);
}

/** The elements as they are on the device; halves keep their bits. */
export async function readBack(backend: Backend, tensor: Tensor): Promise<Uint8Array> {
  if (tensor.dtype === 'f32') return bytesOf(await backend.read(tensor));
  if (tensor.dtype === 'f16')
    return bytesOf(Uint16Array.from(await backend.read(tensor), halfBits));
  return bytesOf(await backend.readIntegers(tensor));
}

const word = new Float32Array(1);
const bits = new Uint32Array(word.buffer);

/** The bits of a binary16 from its value, which f32 holds exactly. */
function halfBits(value: number): number {
  word[0] = value;
  const sign = (bits[0]! >>> 16) & 0x8000;
  const exponent = ((bits[0]! >>> 23) & 0xff) - 112;
  const fraction = (bits[0]! >>> 13) & 0x3ff;
  if (exponent >= 143) return sign | 0x7c00 | fraction;
  if (exponent > 0) return sign | (exponent << 10) | fraction;
  return sign | Math.round(Math.abs(value) * 2 ** 24);
}
