import { type Backend, integersFrom, type Tensor } from '@qlorajs/compute';
import type { LoraAdapter, TrainableRows } from '@qlorajs/lora';
import type { PhiWeights } from './weights.js';

interface Swapped {
  readonly trained: TrainableRows;
  readonly table: Tensor;
  readonly ids: Tensor;
  /** The base's own rows, put back on detach. */
  readonly original: Tensor;
}

/**
 * Rows of the embedding and the head that an adapter trains (PEFT's `trainable_token_indices`):
 * they are written over the base's rows while the adapter is attached.
 */
export class TokenRowSwap {
  readonly #backend: Backend;
  readonly #swapped: Swapped[] = [];
  readonly #width: number;

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

  /** Puts the base's rows back and frees the copies. */
  dispose(): void {
    for (const { table, ids, original } of this.#swapped) {
      this.#backend.ops.scatterRows({ source: original, ids, out: table, width: this.#width });
      this.#backend.free(ids);
      this.#backend.free(original);
    }
    this.#swapped.length = 0;
  }
}
