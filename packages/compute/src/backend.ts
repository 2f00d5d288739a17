import type { Decoding } from './decoding/decoding.js';
import type { MemoryUsage, Reclaim } from './memory-counter.js';
import type { Ops } from './ops.js';
import type { DType, Tensor, TensorData } from './tensor.js';
import type { LinearWeight } from './weight.js';

/** Writes of many bytes at a time, during which the device goes on with its work. */
export interface Uploads {
  /** Resolves when `write` can take so many bytes; null: at once. Not asking costs time alone. */
  room(bytes: number): Promise<void> | null;
  /** Overwrites a whole tensor, in order with the operations. */
  write(tensor: Tensor, data: TensorData): void;
}

/**
 * A device and the operations on it. The model is written against this interface alone; an app
 * makes a backend and hands it in.
 *
 * What it promises: operations take effect in the order of the calls; `read` returns what all
 * earlier calls wrote. What it does not promise: that an operation has run when its call returns.
 */
export interface Backend {
  /** `wasm`, `webgpu`, `gpujs`, `reference` */
  readonly name: string;
  /** Facts for people: threads, adapter, features. */
  readonly info: Readonly<Record<string, string | number | boolean>>;
  readonly ops: Ops;
  /** Absent from engines to which the operations are as good. */
  readonly decoding?: Decoding;
  /**
   * A new tensor, filled with zeros.
   * @throws QLoraError `COMPUTE_OUT_OF_MEMORY` when the device has no room.
   */
  empty(dtype: DType, shape: readonly number[], label?: string): Tensor;
  /** Overwrites the tensor's elements, from `offset` (in elements) on. */
  write(tensor: Tensor, data: TensorData, offset?: number): void;
  /** For a device with memory of its own. */
  readonly uploads?: Uploads;
  /** Copies the elements back; f32 and f16 come as f32. */
  read(tensor: Tensor): Promise<Float32Array>;
  /** Copies the elements of an integer tensor back. */
  readIntegers(tensor: Tensor): Promise<Int32Array | Uint32Array | Uint8Array>;
  /** A tensor over the same storage: `offset` in elements from the tensor's own first. */
  view(tensor: Tensor, offset: number, shape: readonly number[]): Tensor;
  /** Gives the storage back. Views of it must not be used any more; freeing a view is an error. */
  free(tensor: Tensor): void;
  /**
   * Runs `work`, or issues again what it issued when `replay` was last called with this key: a GPU
   * saves the time of making its commands anew. `work` calls operations and nothing else, and which
   * operations on which tensors depends on the key alone; contents of tensors may differ.
   * Backends without it are given `work` itself.
   * @param seed of all dropout in `work`, which may differ from call to call
   */
  replay?(key: string, work: () => void, seed?: number): void;
  /**
   * Says which weights the next products take, until others are named: an engine may bring all of them
   * to the form that it multiplies by at one time, and keep that.
   */
  expect?(weights: readonly LinearWeight[]): void;
  memory(): MemoryUsage;
  resetPeak(): void;
  /**
   * Has `reclaim` called when an allocation finds no room; it may free tensors that no operation under
   * way uses, and says whether it did: then the allocation is tried again, and refused only at last.
   * @returns a function that ends this
   */
  onShortage(reclaim: Reclaim): () => void;
  /** Waits until every operation issued so far has run. */
  sync(): Promise<void>;
  /** Frees everything, workers and device included. */
  dispose(): Promise<void>;
}

/** Makes an f32 tensor from values. */
export function tensorFrom(
  backend: Backend,
  values: Float32Array | readonly number[],
  shape: readonly number[],
  label?: string,
): Tensor {
  const tensor = backend.empty('f32', shape, label);
  backend.write(tensor, values instanceof Float32Array ? values : Float32Array.from(values));
  return tensor;
}

/** Makes an i32 tensor from integers. */
export function integersFrom(
  backend: Backend,
  values: ArrayLike<number>,
  shape: readonly number[] = [values.length],
  label?: string,
): Tensor {
  const tensor = backend.empty('i32', shape, label);
  backend.write(tensor, values instanceof Int32Array ? values : Int32Array.from(values));
  return tensor;
}
