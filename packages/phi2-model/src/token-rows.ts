import { type Backend, integersFrom, type Tensor } from '@qlorajs/compute';
import type { LoraAdapter, TrainableRows } from '@qlorajs/lora';
import type { PhiWeights } from './weights.js';

interface Swapped {
  readonly trained: TrainableRows;
  readonly table: Tensor;
  readonly ids: Tensor;
  /** The base's own rows, to be put back. */
  readonly original: Tensor;
}

/** One adapter's rows and the base's rows that they cover. */
class TokenRowSwap {
  readonly #backend: Backend;
  readonly #swapped: Swapped[] = [];
  readonly #width: number;

  /** The tables must hold the base's rows. */
  constructor(backend: Backend, weights: PhiWeights, adapter: LoraAdapter, width: number) {
    this.#backend = backend;
    this.#width = width;
    const head = weights.head.weight;
    for (const trained of adapter.tokens.values()) {
      if (trained.ids.length === 0) continue;
      const dense = head.kind === 'dense' ? head.values : weights.embedding;
      const table = trained.module === 'lm_head' ? dense : weights.embedding;
      const ids = integersFrom(backend, trained.ids, undefined, `${trained.module}.ids`);
      const original = backend.empty('f32', [trained.ids.length, width], `${trained.module}.base`);
      backend.ops.gatherRows({ source: table, ids, out: original, width });
      this.#swapped.push({ trained, table, ids, original });
    }
  }

  /** Writes the adapter's rows, as they are now, into the tables. */
  apply(): void {
    for (const { trained, table, ids } of this.#swapped)
      this.#backend.ops.scatterRows({
        source: trained.rows.value,
        ids,
        out: table,
        width: this.#width,
      });
  }

  /** Puts the base's rows back. */
  restore(): void {
    for (const { table, ids, original } of this.#swapped)
      this.#backend.ops.scatterRows({ source: original, ids, out: table, width: this.#width });
  }

  free(): void {
    for (const { ids, original } of this.#swapped.splice(0)) {
      this.#backend.free(ids);
      this.#backend.free(original);
    }
  }
}

/**
 * Rows of the embedding and the head that adapters train (PEFT's `trainable_token_indices`): those
 * of the adapter that computes next are written over the base's.
 */
export class TokenRows {
  readonly #make: (adapter: LoraAdapter) => TokenRowSwap;
  readonly #swaps = new Map<LoraAdapter, TokenRowSwap>();
  #shown: TokenRowSwap | null = null;

  constructor(backend: Backend, weights: PhiWeights, width: number) {
    this.#make = (adapter) => new TokenRowSwap(backend, weights, adapter, width);
  }

  /** Makes the tables those of an adapter, with its rows as they are now, or the base's. */
  show(adapter: LoraAdapter | null): void {
    let swap = adapter === null ? null : (this.#swaps.get(adapter) ?? null);
    if (this.#shown !== swap || swap === null) this.#shown?.restore();
    this.#shown = null;
    if (adapter === null || adapter.tokens.size === 0) return;
    if (swap === null) {
      swap = this.#make(adapter);
      this.#swaps.set(adapter, swap);
    }
    swap.apply();
    this.#shown = swap;
  }

  /** Frees what is kept for an adapter; the base's rows are shown afterwards. */
  release(adapter: LoraAdapter): void {
    this.show(null);
    this.#swaps.get(adapter)?.free();
    this.#swaps.delete(adapter);
  }

  dispose(): void {
    for (const adapter of [...this.#swaps.keys()]) this.release(adapter);
  }
}
