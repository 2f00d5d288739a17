/// <reference types="@webgpu/types" />
import type { DType, LinearWeight, Tensor } from '@qlorajs/compute';
import type { DeviceMemory } from './device/memory.js';
import type { Groups, Recorder } from './device/recorder.js';
import type { Tier } from './device/request.js';
import { storageOf } from './device/storage.js';
import type { MaskSeed } from './ops/dropout/seed.js';

/** What an operation needs of the device. */
export interface Engine {
  readonly recorder: Recorder;
  readonly memory: DeviceMemory;
  readonly tier: Tier;
  /** Largest part of a buffer that one dispatch can see, in bytes. */
  readonly maxBinding: number;
  /** Buffers that one dispatch can see. */
  readonly maxBuffers: number;
  /** Bytes of workgroup memory. */
  readonly workgroupMemory: number;
  readonly scratch: Scratch;
  readonly maskSeed: MaskSeed;
  /** The weights of the products that come next, as `Backend.expect` named them. */
  expected: readonly LinearWeight[];
}

/** Buffers of the engine itself, by name: they grow and are used again by every operation. */
export class Scratch {
  readonly #memory: DeviceMemory;
  readonly #recorder: Recorder;
  readonly #buffers = new Map<string, Tensor>();
  readonly #origins = new Map<string, string>();

  constructor(memory: DeviceMemory, recorder: Recorder) {
    this.#memory = memory;
    this.#recorder = recorder;
  }

  /** Whether the buffer `name` was last said to hold what `origin` names; from now on it does. */
  holds(name: string, origin: string): boolean {
    const same = this.#origins.get(name) === origin;
    this.#origins.set(name, origin);
    return same;
  }

  /** What buffers hold is not known any more. */
  forgetOrigins(): void {
    this.#origins.clear();
  }

  /** Gives up buffers that the driver, as it told later, had no memory for. */
  dropRefused(): void {
    for (const [name, buffer] of this.#buffers)
      if (this.#memory.isRefused(buffer)) this.#drop(name, buffer);
  }

  get(name: string, dtype: DType, size: number): Tensor {
    let buffer = this.#buffers.get(name);
    if (!buffer || buffer.size < size) {
      if (buffer) this.#drop(name, buffer); // First: there may be no room for both.
      buffer = this.#memory.allocate(dtype, [size], `scratch.${name}`);
      this.#buffers.set(name, buffer);
    }
    return { ...buffer, size, shape: [size] };
  }

  #drop(name: string, buffer: Tensor): void {
    this.#recorder.flush();
    this.#recorder.forget(storageOf(buffer));
    this.#origins.delete(name);
    this.#buffers.delete(name);
    this.#memory.release(buffer);
  }
}

/** Names the present contents of some elements, for {@link Scratch.holds}. */
export function contentsOf(tensor: Tensor): string {
  const { id, version } = storageOf(tensor);
  return `${id} ${version} ${tensor.offset}`;
}

const MAX_GROUPS = 65535;

/** Workgroups for a flat range: along x, and over y where x is full. See `FLAT_GROUP`. */
export function flatGroups(count: number): Groups {
  const x = Math.min(count, MAX_GROUPS);
  return [x, Math.ceil(count / Math.max(1, x))];
}
