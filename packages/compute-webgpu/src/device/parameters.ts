/// <reference types="@webgpu/types" />
import { MOST_MERGED, PARAMETER_BYTES } from './kernel.js';
import type { Shortage } from './shortage.js';
import { BufferUsage } from './usage.js';

/** Slots that there is room for at first. */
const SLOTS = 4096;

/**
 * The parameters of dispatches, a slot each, in one buffer: what is recorded has the first slots, tapes
 * have ranges of the others. With one buffer a bind group serves a dispatch wherever it is issued from.
 */
export class Parameters {
  readonly #device: GPUDevice;
  readonly #shortage: Shortage;
  readonly #recording: number;
  #buffer: GPUBuffer;
  #slots = SLOTS;
  /** Ranges in use, in order. */
  #ranges: { readonly start: number; readonly end: number }[] = [];

  /** @param recording slots of the recording */
  constructor(device: GPUDevice, shortage: Shortage, recording: number) {
    this.#device = device;
    this.#recording = recording;
    this.#shortage = shortage;
    this.#buffer = this.#make(SLOTS);
  }

  /** What bind groups hold: the slots of a dispatch, be they one or merged. */
  get resource(): GPUBufferBinding {
    return { buffer: this.#buffer, offset: 0, size: MOST_MERGED * PARAMETER_BYTES };
  }

  /** Writes slots from `first` on. */
  write(first: number, words: Uint32Array<ArrayBuffer>, count: number): void {
    const size = (count * PARAMETER_BYTES) / 4;
    this.#device.queue.writeBuffer(this.#buffer, first * PARAMETER_BYTES, words, 0, size);
  }

  /** First slot of a range of `count`; null when there is no room: {@link grow}, or give ranges back. */
  take(count: number): number | null {
    let start = this.#recording;
    let at = 0;
    for (; at < this.#ranges.length; at++) {
      if (this.#ranges[at].start - start >= count) break;
      start = this.#ranges[at].end;
    }
    // What is bound reaches beyond the last of them, where it is not merged.
    if (start + count + MOST_MERGED - 1 > this.#slots) return null;
    this.#ranges.splice(at, 0, { start, end: start + count });
    return start;
  }

  give(start: number): void {
    this.#ranges = this.#ranges.filter((range) => range.start !== start);
  }

  /** A larger buffer with room for `count` more, and nothing in it: no bind group may hold the old one. */
  grow(count: number): void {
    const slots = Math.max(2 * this.#slots, this.#recording + 2 * count);
    const larger = this.#make(slots);
    this.dispose();
    this.#buffer = larger;
    this.#slots = slots;
    this.#ranges = [];
  }

  dispose(): void {
    this.#shortage.forget(this.#buffer);
    this.#buffer.destroy();
  }

  #make(slots: number): GPUBuffer {
    const usage = BufferUsage.UNIFORM | BufferUsage.COPY_DST;
    const size = slots * PARAMETER_BYTES;
    return this.#shortage.need({ size, usage, label: 'parameters' });
  }
}
