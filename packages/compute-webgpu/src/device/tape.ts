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
  #words: Uint32Array[] = [];
  #start: number | null = null;

  add(
    program: Program,
    group: GPUBindGroup,
    words: Uint32Array,
    groups: readonly [number, number?, number?],
  ): void {
    const [x, y = 1, z = 1] = groups;
    this.dispatches.push({ program, group, offsets: [0], x, y, z });
    this.#words.push(words.slice());
  }

  /**
   * Puts the parameters on the device: from here on it can be played.
   * @param start the first of as many slots as there are dispatches
   */
  close(parameters: Parameters, start: number): void {
    this.#start = start;
    const words = new Uint32Array((this.#words.length * PARAMETER_BYTES) / 4);
    this.#words.forEach((each, i) => {
      words.set(each, (i * PARAMETER_BYTES) / 4);
      this.dispatches[i].offsets[0] = (start + i) * PARAMETER_BYTES;
    });
    parameters.write(start, words, this.#words.length);
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
    const start = this.#parameters.take(tape.dispatches.length);
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
