import { QLoraError } from '@qlorajs/errors';

/** Device memory of a backend, in bytes of tensors (views are not counted again). */
export interface MemoryUsage {
  readonly live: number;
  /** Largest `live` since the backend was made, or since `resetPeak`. */
  readonly peak: number;
}

/** Frees tensors that can be done without; true when it freed any. */
export type Reclaim = (bytes: number) => boolean;

/** Counts the bytes of tensors, and holds them to a limit: what every engine's `memory()` tells. */
export class MemoryCounter {
  readonly limit: number;
  #live = 0;
  #peak = 0;
  readonly #reclaims = new Set<Reclaim>();

  /** @param limit bytes that may live at one time */
  constructor(limit = Number.POSITIVE_INFINITY) {
    this.limit = limit;
  }

  get usage(): MemoryUsage {
    return { live: this.#live, peak: this.#peak };
  }

  resetPeak(): void {
    this.#peak = this.#live;
  }

  /** As `Backend.onShortage`. */
  onShortage(reclaim: Reclaim): () => void {
    this.#reclaims.add(reclaim);
    return () => this.#reclaims.delete(reclaim);
  }

  /** Asks everyone who can free something, in turn; true when someone did. */
  reclaim(bytes: number): boolean {
    for (const each of this.#reclaims) if (each(bytes)) return true;
    return false;
  }

  /**
   * Asks for room until the limit leaves enough.
   * @throws QLoraError `COMPUTE_OUT_OF_MEMORY` when nobody can free anything
   */
  makeRoom(bytes: number, label: string): void {
    const { limit } = this;
    while (this.#live + bytes > limit)
      if (!this.reclaim(this.#live + bytes - limit)) throw this.#refuse(bytes, label);
  }

  /** Counts an allocation; see {@link makeRoom}. */
  take(bytes: number, label: string): void {
    this.makeRoom(bytes, label);
    this.#live += bytes;
    this.#peak = Math.max(this.#peak, this.#live);
  }

  give(bytes: number): void {
    this.#live -= bytes;
  }

  #refuse(bytes: number, label: string): QLoraError {
    const { limit } = this;
    return new QLoraError(
      'COMPUTE_OUT_OF_MEMORY',
      `no room for ${label || 'a tensor'} of ${bytes} bytes beside ${this.#live} in use: the limit is ${limit} bytes; use a smaller batch or a shorter sequence, or raise the limit`,
      { kind: 'runtime', details: { label, bytes, live: this.#live, limit } },
    );
  }
}
