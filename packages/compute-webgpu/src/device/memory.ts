/// <reference types="@webgpu/types" />
import { byteLengthOf, type DType, MemoryCounter, sizeOf, type Tensor } from '@qlorajs/compute';
import { QLoraError } from '@qlorajs/errors';
import { outOfMemory, type Shortage } from './shortage.js';
import { type GpuStorage, storageOf } from './storage.js';
import { BufferUsage } from './usage.js';

/** Allocates and counts the buffers of tensors. */
export class DeviceMemory {
  readonly #maxBufferSize: number;
  readonly #shortage: Shortage;
  readonly #owned = new Map<Tensor, number>();
  #nextId = 1;
  #isFreed = false;

  readonly counter: MemoryCounter;

  /** @param limit bytes of tensors that may live at one time */
  constructor(maxBufferSize: number, shortage: Shortage, limit: number) {
    this.#maxBufferSize = maxBufferSize;
    this.#shortage = shortage;
    this.counter = new MemoryCounter(limit);
  }

  /**
   * WebGPU zeroes new buffers. Where the driver has no memory, those who can free something do, once:
   * its memory may come back only after the next wait (`details.freed` of the error).
   * @throws QLoraError `COMPUTE_OUT_OF_MEMORY` at once where a limit or Dawn says so; in a browser the
   * driver's word comes later: then the next calls throw it
   */
  allocate(dtype: DType, shape: readonly number[], label: string): Tensor {
    const size = sizeOf(shape);
    const counted = byteLengthOf({ dtype, size });
    const bytes = Math.max(4, Math.ceil(counted / 4) * 4);
    const { counter } = this;
    const maxBufferSize = this.#maxBufferSize;
    const { live } = counter.usage;
    const details = { label, bytes, live, limit: counter.limit, maxBufferSize };
    const what = `${label || 'a tensor'} of ${bytes} bytes beside ${live} in use`;
    if (bytes > maxBufferSize)
      throw outOfMemory(what, `a buffer here holds at most ${maxBufferSize} bytes`, details);
    counter.take(counted, label);
    const { STORAGE, COPY_SRC, COPY_DST } = BufferUsage;
    const descriptor = { size: bytes, usage: STORAGE | COPY_SRC | COPY_DST, label };
    let buffer = this.#shortage.create(descriptor);
    const freed = 'refused' in buffer && counter.reclaim(counted);
    if (freed) buffer = this.#shortage.create(descriptor);
    if ('refused' in buffer) {
      counter.give(counted);
      throw outOfMemory(what, buffer.refused, { ...details, freed });
    }
    const id = this.#nextId++;
    const bindGroups = new Set<never>();
    const storage: GpuStorage = { id, buffer, bytes, recording: 0, version: 0, bindGroups };
    const tensor: Tensor = { dtype, shape, size, offset: 0, storage, label };
    this.#owned.set(tensor, counted);
    return tensor;
  }

  /** Whether the driver told, after the call, that it had no memory for it. */
  isRefused(tensor: Tensor): boolean {
    return this.#shortage.isRefused(storageOf(tensor).buffer);
  }

  /** The device must be done with recording commands on it. */
  release(tensor: Tensor): void {
    const counted = this.#owned.get(tensor);
    if (counted === undefined)
      throw new QLoraError('COMPUTE_FREE', `free: ${tensor.label} is a view or was freed`, {
        kind: 'runtime',
      });
    this.#owned.delete(tensor);
    this.counter.give(counted);
    const storage = storageOf(tensor);
    for (const { cache, key } of storage.bindGroups) cache.delete(key);
    storage.bindGroups.clear();
    this.#shortage.forget(storage.buffer);
    storage.buffer.destroy();
    this.#isFreed = true;
  }

  /** Whether anything was released since this was last asked. */
  takeFreed(): boolean {
    const freed = this.#isFreed;
    this.#isFreed = false;
    return freed;
  }

  releaseAll(): void {
    for (const tensor of [...this.#owned.keys()]) this.release(tensor);
  }
}
