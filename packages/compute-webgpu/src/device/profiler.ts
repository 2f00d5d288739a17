/// <reference types="@webgpu/types" />
import { BufferUsage, MAP_MODE_READ } from './usage.js';

/** Time that a kernel took on the device. */
export interface KernelTime {
  readonly count: number;
  readonly nanoseconds: number;
}

/** Dispatches that a set of queries has room for: two timestamps each. */
const CAPACITY = 2048;

/** Times every dispatch, each in a pass of its own: slower than without, and only when started. */
export class Profiler {
  readonly #device: GPUDevice;
  #names: string[] = [];
  #sets: { readonly set: GPUQuerySet; readonly names: readonly string[] }[] = [];
  #set: GPUQuerySet | null = null;
  #active = false;

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  get active(): boolean {
    return this.#active;
  }

  start(): void {
    this.#active = true;
  }

  /** Where the pass of one dispatch of the kernel `name` writes its times. */
  next(name: string): GPUComputePassTimestampWrites {
    if (this.#set === null || this.#names.length === CAPACITY) this.#close();
    this.#set ??= this.#device.createQuerySet({ type: 'timestamp', count: 2 * CAPACITY });
    const i = 2 * this.#names.length;
    this.#names.push(name);
    return { querySet: this.#set, beginningOfPassWriteIndex: i, endOfPassWriteIndex: i + 1 };
  }

  /** The times since the start, by kernel; everything recorded must have been submitted. */
  async stop(): Promise<Map<string, KernelTime>> {
    this.#active = false;
    this.#close();
    const times = new Map<string, KernelTime>();
    for (const { set, names } of this.#sets) {
      const stamps = await this.#read(set, 2 * names.length);
      names.forEach((name, i) => {
        const { count, nanoseconds } = times.get(name) ?? { count: 0, nanoseconds: 0 };
        const took = Number(stamps[2 * i + 1] - stamps[2 * i]);
        times.set(name, { count: count + 1, nanoseconds: nanoseconds + took });
      });
      set.destroy();
    }
    this.#sets = [];
    return times;
  }

  #close(): void {
    if (this.#set) this.#sets.push({ set: this.#set, names: this.#names });
    this.#set = null;
    this.#names = [];
  }

  async #read(set: GPUQuerySet, count: number): Promise<BigUint64Array> {
    const { COPY_SRC, COPY_DST, QUERY_RESOLVE, MAP_READ } = BufferUsage;
    const size = 8 * count;
    const resolved = this.#device.createBuffer({ size, usage: QUERY_RESOLVE | COPY_SRC });
    const staging = this.#device.createBuffer({ size, usage: MAP_READ | COPY_DST });
    const encoder = this.#device.createCommandEncoder();
    encoder.resolveQuerySet(set, 0, count, resolved, 0);
    encoder.copyBufferToBuffer(resolved, 0, staging, 0, size);
    this.#device.queue.submit([encoder.finish()]);
    await staging.mapAsync(MAP_MODE_READ);
    const stamps = new BigUint64Array(staging.getMappedRange().slice(0));
    resolved.destroy();
    staging.destroy();
    return stamps;
  }
}
