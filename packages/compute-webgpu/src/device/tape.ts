/// <reference types="@webgpu/types" />
import { PARAMETER_BYTES } from './kernel.js';
import type { Parameters } from './parameters.js';
import type { Program } from './pipelines.js';
import type { GpuStorage } from './storage.js';

/** A dispatch with everything that it is bound to. */
interface TapedDispatch {
  readonly program: Program;
  readonly group: GPUBindGroup;
  /** Of its parameters. */
  readonly offsets: [number];
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
  #words: Uint32Array<ArrayBuffer>[] = [];
  #slots = 0;
  #start: number | null = null;

  /** Slots of parameters, one or more a dispatch. */
  get slots(): number {
    return this.#slots;
  }

  /** @param words whole slots */
  add(
    { program, group, x, y, z }: Omit<TapedDispatch, 'offsets'>,
    words: Uint32Array<ArrayBuffer>,
  ): void {
    const first = this.#slots * PARAMETER_BYTES;
    this.dispatches.push({ program, group, offsets: [first], x, y, z });
    this.#words.push(words.slice());
    this.#slots += words.byteLength / PARAMETER_BYTES;
  }

  /**
   * Puts the parameters on the device: from here on it can be played.
   * @param start the first of its {@link slots}
   */
  close(parameters: Parameters, start: number): void {
    this.#start = start;
    const words = new Uint32Array((this.#slots * PARAMETER_BYTES) / 4);
    this.#words.forEach((each, i) => {
      const { offsets } = this.dispatches[i];
      words.set(each, offsets[0] / 4);
      offsets[0] += start * PARAMETER_BYTES;
    });
    parameters.write(start, words, this.#slots);
    this.#words = [];
  }

  dispose(parameters: Parameters): void {
    if (this.#start !== null) parameters.give(this.#start);
  }
}

/** Tapes that are kept: a training run has two for every shape of its batches. */
const MOST = 64;

/** The tapes of a device, by key; the oldest make room. */
export class Tapes {
  readonly #parameters: Parameters;
  readonly #tapes = new Map<string, Tape>();

  constructor(parameters: Parameters) {
    this.#parameters = parameters;
  }

  get(key: string): Tape | undefined {
    const tape = this.#tapes.get(key);
    if (tape) {
      this.#tapes.delete(key);
      this.#tapes.set(key, tape);
    }
    return tape;
  }

  /** Keeps a tape; false when the parameters have no room for it. */
  set(key: string, tape: Tape): boolean {
    for (const [oldest] of this.#tapes) {
      if (this.#tapes.size < MOST) break;
      this.#drop(oldest);
    }
    const start = this.#parameters.take(tape.slots);
    if (start === null) return false;
    tape.close(this.#parameters, start);
    this.#tapes.set(key, tape);
    return true;
  }

  /** Drops every tape that uses a storage which is about to go. */
  forget(storage: GpuStorage): void {
    for (const [key, tape] of this.#tapes) if (tape.used.has(storage)) this.#drop(key);
  }

  clear(): void {
    for (const key of [...this.#tapes.keys()]) this.#drop(key);
  }

  #drop(key: string): void {
    this.#tapes.get(key)?.dispose(this.#parameters);
    this.#tapes.delete(key);
  }
}
