import { type DType, nameOf, type Tensor, type TensorData } from '@qlorajs/compute';
import { QLoraError } from '@qlorajs/errors';
import type { Cells } from './gpu-js.js';
import { BYTES_PER_CELL, halfToNumber } from './pack.js';

/** What a tensor's `storage` is; views share it. gpu.js has f32 cells only. */
export interface GpuJsStorage {
  /** The backend's: a tensor of another backend is refused. */
  readonly owner: object;
  /** f32 cells: one an element, or one for three bytes (u8). */
  readonly cells: number;
  /** null: all zeros. In WebGL modes an array has not been uploaded yet. */
  content: Cells | null;
  /** Integers as the host wrote them; operations never write i32. */
  readonly integers: Int32Array | Uint32Array | null;
  freed: boolean;
}

/** Cells that `size` elements take. */
export function cellsOf(dtype: DType, size: number): number {
  return dtype === 'u8' ? Math.ceil(size / BYTES_PER_CELL) : size;
}

/** The storage of a tensor of this backend. */
export function storageOf(owner: object, tensor: Tensor): GpuJsStorage {
  const storage = tensor.storage as GpuJsStorage;
  const details = { label: tensor.label, shape: tensor.shape };
  if (storage.owner !== owner)
    throw new QLoraError(
      'COMPUTE_FOREIGN_TENSOR',
      `tensor ${nameOf(tensor)} was made by another backend; copy it with read and write`,
      { kind: 'runtime', details },
    );
  if (storage.freed)
    throw new QLoraError(
      'COMPUTE_FREED_TENSOR',
      `tensor ${nameOf(tensor)} is used after its storage was freed; free it later`,
      { kind: 'runtime', details },
    );
  return storage;
}

/** Data of `write` as cells: halves are widened. */
export function cellsFrom(tensor: Tensor, data: TensorData): Float32Array {
  if (tensor.dtype !== 'f16') return Float32Array.from(data);
  if (data instanceof Uint16Array) return Float32Array.from(data, halfToNumber);
  throw new QLoraError(
    'COMPUTE_SHAPE',
    `write: tensor ${nameOf(tensor)} takes the bits of its halves, a Uint16Array`,
    { kind: 'runtime', details: { dtype: tensor.dtype } },
  );
}

/** The integers of an i32 tensor, as the host wrote them. */
export function integersOf(owner: object, tensor: Tensor): Int32Array {
  const { integers } = storageOf(owner, tensor);
  return (integers as Int32Array).subarray(tensor.offset, tensor.offset + tensor.size);
}
