/// <reference types="@webgpu/types" />
import type { DType, Tensor } from '@qlorajs/compute';
import type { DeviceMemory } from './device/memory.js';
import type { Groups, Recorder } from './device/recorder.js';
import type { Tier } from './device/request.js';
import { storageOf } from './device/storage.js';

/** What an operation needs of the device. */
export interface Engine {
  readonly recorder: Recorder;
  readonly memory: DeviceMemory;
  readonly tier: Tier;
  /** Largest part of a buffer that one dispatch can see, in bytes. */
  readonly maxBinding: number;
  /** Bytes of workgroup memory. */
  readonly workgroupMemory: number;
  readonly scratch: Scratch;
}

/** Buffers of the engine itself, by name: they grow and are used again by every operation. */
export class Scratch {
  readonly #memory: DeviceMemory;
  readonly #recorder: Recorder;
  readonly #buffers = new Map<string, Tensor>();

  constructor(memory: DeviceMemory, recorder: Recorder) {
    this.#memory = memory;
    this.#recorder = recorder;
  }

  get(name: string, dtype: DType, size: number): Tensor {
    let buffer = this.#buffers.get(name);
    if (!buffer || buffer.size < size) {
      if (buffer) {
        this.#recorder.flush();
        this.#recorder.forget(storageOf(buffer));
        this.#buffers.delete(name); // Should there be no room for the larger one.
        this.#memory.release(buffer);
      }
      buffer = this.#memory.allocate(dtype, [size], `scratch.${name}`);
      this.#buffers.set(name, buffer);
    }
    return { ...buffer, size, shape: [size] };
  }
}

const MAX_GROUPS = 65535;

/** Workgroups for a flat range: along x, and over y where x is full. See `FLAT_GROUP`. */
export function flatGroups(count: number): Groups {
  const x = Math.min(count, MAX_GROUPS);
  return [x, Math.ceil(count / Math.max(1, x))];
}
