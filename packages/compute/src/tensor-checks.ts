import { QLoraError } from '@qlorajs/errors';
import { sizeOf, type Tensor, type TensorData } from './tensor.js';

/** A tensor as messages call it. */
export function nameOf({ label, dtype, shape }: Tensor): string {
  return `${label || 'without label'} ${dtype} [${shape}]`;
}

/**
 * What a backend's `view` gives: the same storage from another element on.
 *
 * @throws QLoraError `COMPUTE_SHAPE` when it lies outside of the tensor.
 */
export function viewOf(tensor: Tensor, offset: number, shape: readonly number[]): Tensor {
  const size = sizeOf(shape);
  if (offset < 0 || offset + size > tensor.size)
    throw new QLoraError(
      'COMPUTE_SHAPE',
      `view: [${shape}] from element ${offset} on lies outside tensor ${nameOf(tensor)}`,
      { kind: 'runtime', details: { offset, shape, parent: tensor.shape } },
    );
  return { ...tensor, shape, size, offset: tensor.offset + offset };
}

/** @throws QLoraError `COMPUTE_SHAPE` unless `write` has room for the data, and halves come as their bits. */
export function checkWrite(tensor: Tensor, data: TensorData, offset: number): void {
  if (offset < 0 || offset + data.length > tensor.size)
    throw new QLoraError(
      'COMPUTE_SHAPE',
      `write: ${data.length} elements from ${offset} on do not fit tensor ${nameOf(tensor)}`,
      { kind: 'runtime', details: { length: data.length, offset, shape: tensor.shape } },
    );
  if (tensor.dtype === 'f16' && !(data instanceof Uint16Array))
    throw new QLoraError(
      'COMPUTE_SHAPE',
      `write: tensor ${nameOf(tensor)} takes the bits of its halves, a Uint16Array`,
      { kind: 'runtime', details: { dtype: tensor.dtype } },
    );
}

/** The tensors that a backend gave out and that were not freed. */
export class OwnedTensors {
  readonly #tensors = new Set<Tensor>();

  add(tensor: Tensor): void {
    this.#tensors.add(tensor);
  }

  /** @throws QLoraError `COMPUTE_FREE` for a view, or a tensor that was freed before. */
  release(tensor: Tensor): void {
    if (this.#tensors.delete(tensor)) return;
    throw new QLoraError(
      'COMPUTE_FREE',
      `free: tensor ${nameOf(tensor)} is a view or was freed; free the tensor that empty gave, once`,
      { kind: 'runtime', details: { label: tensor.label, shape: tensor.shape } },
    );
  }

  /** Gives every tensor to `work`, and owns none of them any more. */
  drain(work: (tensor: Tensor) => void): void {
    for (const tensor of this.#tensors) work(tensor);
    this.#tensors.clear();
  }
}
