/// <reference types="@webgpu/types" />
import { PARAMETER_BYTES } from './kernel.js';
import type { Program } from './pipelines.js';
import type { GpuStorage } from './storage.js';
import { BufferUsage } from './usage.js';

/** A dispatch with everything that it is bound to. */
interface TapedDispatch {
  readonly program: Program;
  readonly group: GPUBindGroup;
  /** Of its parameters in the tape's buffer. */
  readonly offsets: readonly [number];
  readonly x: number;
  readonly y: number;
  readonly z: number;
}

/** Dispatches to issue again: bind groups and parameters are made once. */
export class Tape {
  readonly dispatches: TapedDispatch[] = [];
  /** Every storage that is used, and those that are written. */
  readonly used = new Set<GpuStorage>();
  readonly written = new Set<GpuStorage>();
  #words: Uint32Array[] = [];
  #uniforms: GPUBuffer | null = null;
  #group: GPUBindGroup | null = null;

  add(
    program: Program,
    group: GPUBindGroup,
    words: Uint32Array,
    groups: readonly [number, number?, number?],
  ): void {
    const offsets = [this.dispatches.length * PARAMETER_BYTES] as const;
    const [x, y = 1, z = 1] = groups;
    this.dispatches.push({ program, group, offsets, x, y, z });
    this.#words.push(words.slice());
  }

  /** Puts the parameters on the device: from here on it can be played. */
  close(device: GPUDevice, layout: GPUBindGroupLayout): void {
    const words = new Uint32Array((this.#words.length * PARAMETER_BYTES) / 4);
    this.#words.forEach((each, i) => {
      words.set(each, (i * PARAMETER_BYTES) / 4);
    });
    this.#words = [];
    const usage = BufferUsage.UNIFORM | BufferUsage.COPY_DST;
    this.#uniforms = device.createBuffer({ size: words.byteLength, usage, label: 'tape' });
    device.queue.writeBuffer(this.#uniforms, 0, words);
    const resource = { buffer: this.#uniforms, offset: 0, size: PARAMETER_BYTES };
    this.#group = device.createBindGroup({ layout, entries: [{ binding: 0, resource }] });
  }

  get group(): GPUBindGroup | null {
    return this.#group;
  }

  dispose(): void {
    this.#uniforms?.destroy();
  }
}

/** Tapes that are kept: a training run has two for every shape of its batches. */
const MOST = 64;

/** The tapes of a device, by key; the oldest make room. */
export class Tapes {
  readonly #tapes = new Map<string, Tape>();

  get(key: string): Tape | undefined {
    const tape = this.#tapes.get(key);
    if (tape) {
      this.#tapes.delete(key);
      this.#tapes.set(key, tape);
    }
    return tape;
  }

  set(key: string, tape: Tape): void {
    for (const [oldest] of this.#tapes) {
      if (this.#tapes.size < MOST) break;
      this.#drop(oldest);
    }
    this.#tapes.set(key, tape);
  }

  /** Drops every tape that uses a storage which is about to go. */
  forget(storage: GpuStorage): void {
    for (const [key, tape] of this.#tapes) if (tape.used.has(storage)) this.#drop(key);
  }

  dispose(): void {
    for (const key of [...this.#tapes.keys()]) this.#drop(key);
  }

  #drop(key: string): void {
    this.#tapes.get(key)?.dispose();
    this.#tapes.delete(key);
  }
}
