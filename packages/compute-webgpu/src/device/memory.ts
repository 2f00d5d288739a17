/// <reference types="@webgpu/types" />
import { byteLengthOf, type DType, MemoryCounter, sizeOf, type Tensor } from '@qlorajs/compute';
import { QLoraError } from '@qlorajs/errors';
import type { Faults } from './faults.js';
import { type GpuStorage, storageOf } from './storage.js';
import { BufferUsage } from './usage.js';

/** Allocates and counts the buffers of tensors. */
export class DeviceMemory {
  readonly #device: GPUDevice;
  readonly #faults: Faults;
  readonly #owned = new Map<Tensor, number>();
  #nextId = 1;

  readonly counter: MemoryCounter;

  /** @param limit bytes of tensors that may live at one time */
  constructor(device: GPUDevice, faults: Faults, limit: number) {
    this.#device = device;
    this.#faults = faults;
    this.counter = new MemoryCounter(limit);
  }

  /**
   * WebGPU zeroes new buffers.
   * @throws QLoraError `COMPUTE_OUT_OF_MEMORY` at once where a limit says so, else from the next call.
   */
  allocate(dtype: DType, shape: readonly number[], label: string): Tensor {
    const size = sizeOf(shape);
    const counted = byteLengthOf({ dtype, size });
    const bytes = Math.max(4, Math.ceil(counted / 4) * 4);
    const { maxBufferSize } = this.#device.limits;
    const { counter } = this;
    const { live } = counter.usage;
    const details = { label, bytes, live, limit: counter.limit, maxBufferSize };
    const fail = (reason: string) =>
      new QLoraError(
        'COMPUTE_OUT_OF_MEMORY',
        `no room for ${label || 'a tensor'} of ${bytes} bytes beside ${live} in use: ${reason}; use a smaller batch or a shorter sequence`,
        { kind: 'runtime', details },
      );
    if (bytes > maxBufferSize) throw fail(`a buffer here holds at most ${maxBufferSize} bytes`);
    counter.take(counted, label);
    this.#device.pushErrorScope('out-of-memory');
    const { STORAGE, COPY_SRC, COPY_DST } = BufferUsage;
    const usage = STORAGE | COPY_SRC | COPY_DST;
    const buffer = this.#device.createBuffer({ size: bytes, usage, label });
    this.#device.popErrorScope().then(
      (error) => error && this.#faults.raise(fail(error.message)),
      () => {}, // a lost device: reported by Faults
    );
    const id = this.#nextId++;
    const bindGroups = new Set<never>();
    const storage: GpuStorage = { id, buffer, bytes, recording: 0, version: 0, bindGroups };
    const tensor: Tensor = { dtype, shape, size, offset: 0, storage, label };
    this.#owned.set(tensor, counted);
    return tensor;
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
    storage.buffer.destroy();
  }

  releaseAll(): void {
    for (const tensor of [...this.#owned.keys()]) this.release(tensor);
  }
}
