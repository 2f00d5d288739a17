import type { Tensor } from '@qlorajs/compute';
import { QLoraError } from '@qlorajs/errors';
import { fromFloat32, toFloat32 } from '@qlorajs/safetensors';
import { type Loader, PIECE } from './loader.js';

/**
 * @param first index of the piece's first value
 * @throws QLoraError `PHI_NOT_FINITE`: a NaN anywhere would become the loss, and silently so
 */
function checkFinite(name: string, values: Float32Array, first: number): void {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i] * 0; // 0, or NaN from there on
  if (sum === 0) return;
  const at = values.findIndex((value) => !Number.isFinite(value));
  const index = first + at;
  throw new QLoraError(
    'PHI_NOT_FINITE',
    `${name}: value ${index} is ${values[at]}; the file is damaged or its values overflowed when it was saved in half precision: fetch or save it again`,
    { details: { tensor: name, index } },
  );
}

/** True when one of the halves is infinite or NaN. */
function overflows(halves: Uint16Array): boolean {
  for (let i = 0; i < halves.length; i++) if ((halves[i] & 0x7c00) === 0x7c00) return true;
  return false;
}

/** The bytes as 16-bit words: typed arrays need aligned memory, and a file's bytes start anywhere. */
function words(bytes: Uint8Array): Uint16Array {
  const { buffer, byteOffset, byteLength } = bytes.byteOffset % 2 === 0 ? bytes : bytes.slice();
  return new Uint16Array(buffer, byteOffset, byteLength / 2);
}

/** Bytes of the piece at hand, as read and converted (`factor` times), and of the next one. */
function heldBytes(byteLength: number, factor: number): number {
  return Math.min(PIECE, byteLength) * factor + Math.min(PIECE, Math.max(0, byteLength - PIECE));
}

/** A tensor in f32, whatever float it is stored in. */
export async function denseTensor(loader: Loader, name: string): Promise<Tensor> {
  const { shape, dtype, byteLength } = loader.source.tensors.get(name)!;
  const tensor = loader.empty('f32', shape, name);
  const width = byteLength / tensor.size;
  await loader.eachPiece(name, (bytes, start) => {
    const values = toFloat32(bytes, dtype);
    checkFinite(name, values, start / width);
    loader.backend.write(tensor, values, start / width);
  });
  loader.holds(heldBytes(byteLength, 1 + 4 / width));
  return tensor;
}

/**
 * The embedding or the head in f16 where that was asked for and the checkpoint has no more: exact for
 * F16; of BF16 what lies below 2^-14 is rounded. A table with BF16 values beyond f16's range stays f32.
 */
export async function tableTensor(loader: Loader, name: string): Promise<Tensor> {
  const { shape, dtype, byteLength } = loader.source.tensors.get(name)!;
  if (!loader.options.halfTables || (dtype !== 'F16' && dtype !== 'BF16'))
    return denseTensor(loader, name);
  const tensor = loader.empty('f16', shape, name);
  let tooLarge = false;
  await loader.eachPiece(name, (bytes, start) => {
    const halves = words(dtype === 'F16' ? bytes : fromFloat32(toFloat32(bytes, dtype), 'F16'));
    tooLarge ||= overflows(halves);
    loader.backend.write(tensor, halves, start / 2);
  });
  loader.holds(heldBytes(byteLength, dtype === 'BF16' ? 4 : 1));
  if (!tooLarge) return tensor;
  loader.free(tensor);
  return denseTensor(loader, name); // names what is not finite
}
