import type { Backend } from './backend.js';
import type { Tensor } from './tensor.js';

/** A part of a buffer that somebody waits for. */
interface Reservation {
  readonly start: number;
  readonly size: number;
  resolve(values: Float32Array): void;
  reject(error: unknown): void;
}

/** A buffer, and what of it is asked for. */
interface Part {
  readonly buffer: Tensor;
  used: number;
  readonly reservations: Reservation[];
}

/**
 * Small results that are read together: whoever computes one writes it to a place in a shared buffer, and
 * one transfer brings all of them to the host.
 *
 * @example
 * ```ts
 * import { createReferenceBackend, Readback } from '@qlorajs/compute';
 *
 * const backend = createReferenceBackend();
 * const readback = new Readback(backend);
 * const [loss, norm] = [readback.reserve(2), readback.reserve(1)];
 * backend.ops.fill({ out: loss.tensor, value: 3 });
 * backend.ops.fill({ out: norm.tensor, value: 4 });
 * await readback.flush(); // one read
 * console.log((await loss.values).join(), (await norm.values)[0]); // 3,3 4
 * ```
 */
export class Readback {
  readonly #backend: Backend;
  readonly #label: string;
  #parts: Part[] = [];

  /** @param label of its buffer, in messages and plans */
  constructor(backend: Backend, label = 'results to read') {
    this.#backend = backend;
    this.#label = label;
  }

  /**
   * Makes room for `size` values, so that one read brings what is reserved until the next flush. Nothing
   * happens where places are given away already.
   *
   * @throws QLoraError `COMPUTE_OUT_OF_MEMORY`
   */
  prepare(size: number): void {
    if (this.#parts.some(({ used }) => used > 0)) return;
    const [part, ...others] = this.#parts;
    if (part !== undefined && others.length === 0 && part.buffer.size >= size) return;
    this.dispose();
    this.#addPart(size);
  }

  /**
   * A place for `size` f32 values; what is in it when {@link flush} is called resolves `values`.
   *
   * @throws QLoraError `COMPUTE_OUT_OF_MEMORY` when the buffer must grow and cannot.
   */
  reserve(size: number): { readonly tensor: Tensor; readonly values: Promise<Float32Array> } {
    const part = this.#partFor(size);
    const { buffer, used: start } = part;
    const values = new Promise<Float32Array>((resolve, reject) => {
      part.reservations.push({ start, size, resolve, reject });
    });
    values.catch(() => {}); // told to whoever awaits it, and by flush
    part.used += size;
    return { tensor: this.#backend.view(buffer, start, [size]), values };
  }

  /** Reads all that was reserved; one `read` unless the buffer grew meanwhile. */
  async flush(): Promise<void> {
    const reads = this.#parts
      .filter(({ used }) => used > 0)
      .map(async (part) => {
        const { buffer, used } = part;
        const reservations = part.reservations.splice(0);
        part.used = 0;
        try {
          const values = await this.#backend.read(this.#backend.view(buffer, 0, [used]));
          for (const { start, size, resolve } of reservations)
            resolve(values.slice(start, start + size));
        } catch (error) {
          for (const { reject } of reservations) reject(error);
          throw error;
        }
      });
    await Promise.all(reads);
  }

  /** Forgets what was reserved: nobody waits for it any more. */
  clear(): void {
    for (const part of this.#parts) {
      part.used = 0;
      part.reservations.length = 0;
    }
  }

  dispose(): void {
    for (const { buffer } of this.#parts) this.#backend.free(buffer);
    this.#parts = [];
  }

  #partFor(size: number): Part {
    const last = this.#parts.at(-1);
    const idle = this.#parts.every(({ used }) => used === 0);
    const fits = last !== undefined && last.used + size <= last.buffer.size;
    if (fits && !(idle && this.#parts.length > 1)) return last;
    // Places that were given away stay where they are: a further buffer, and one for all the next time.
    const before = this.#parts.reduce((sum, { buffer }) => sum + buffer.size, 0);
    if (idle) this.dispose();
    const room = idle ? Math.max(size, before) : size;
    return this.#addPart(room);
  }

  #addPart(size: number): Part {
    const buffer = this.#backend.empty('f32', [size], this.#label);
    const part = { buffer, used: 0, reservations: [] };
    this.#parts.push(part);
    return part;
  }
}
