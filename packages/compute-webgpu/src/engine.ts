/// <reference types="@webgpu/types" />
import type { DType, Tensor } from '@qlorajs/compute';
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
}

/** Elements of a buffer, and whether what they were asked for is there. */
export interface Part {
  readonly tensor: Tensor;
  readonly made: boolean;
}

interface Ring {
  /** Where the next part begins, unless it reaches beyond the end. */
  next: number;
  parts: { readonly at: number; readonly size: number; readonly origin: string }[];
}

/** Buffers of the engine itself, by name: they grow and are used again by every operation. */
export class Scratch {
  readonly #memory: DeviceMemory;
  readonly #recorder: Recorder;
  readonly #buffers = new Map<string, Tensor>();
  readonly #origins = new Map<string, string>();
  readonly #rings = new Map<string, Ring>();

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
    this.#rings.clear();
  }

  /**
   * A part of the buffer `name`, of which the oldest parts make room for new ones.
   * @param room elements of the buffer
   * @param origin names what the part is made from
   */
  part(
    name: string,
    dtype: DType,
    { size, room, origin }: { size: number; room: number; origin: string },
  ): Part {
    const known = this.#buffers.get(name)?.size ?? 0;
    if (known < room) this.#rings.delete(name);
    const whole = this.get(name, dtype, room);
    const end = Math.max(known, room);
    const ring = this.#rings.get(name) ?? { next: 0, parts: [] };
    this.#rings.set(name, ring);
    const found = ring.parts.find((part) => part.origin === origin && part.size === size);
    const at = found?.at ?? (ring.next + size > end ? 0 : ring.next);
    if (!found) {
      const after = at + size;
      ring.parts = ring.parts.filter((part) => part.at >= after || part.at + part.size <= at);
      ring.parts.push({ at, size, origin });
      ring.next = after;
    }
    const tensor = { ...whole, offset: whole.offset + at, size, shape: [size] };
    return { tensor, made: found !== undefined };
  }

  get(name: string, dtype: DType, size: number): Tensor {
    let buffer = this.#buffers.get(name);
    if (!buffer || buffer.size < size) {
      if (buffer) {
        this.#recorder.flush();
        this.#recorder.forget(storageOf(buffer));
        this.#origins.delete(name);
        this.#buffers.delete(name); // Should there be no room for the larger one.
        this.#memory.release(buffer);
      }
      buffer = this.#memory.allocate(dtype, [size], `scratch.${name}`);
      this.#buffers.set(name, buffer);
    }
    return { ...buffer, size, shape: [size] };
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
