import type { LoraAdapter } from '@qlorajs/lora';

/** Keeps a copy of an adapter's values at its best evaluation, for early stopping. */
export class BestAdapter {
  readonly #adapter: LoraAdapter;
  #values: Float32Array[] | null = null;

  constructor(adapter: LoraAdapter) {
    this.#adapter = adapter;
  }

  async remember(): Promise<void> {
    const { backend } = this.#adapter;
    const values: Float32Array[] = [];
    for (const { value } of this.#adapter.parameters()) values.push(await backend.read(value));
    this.#values = values;
  }

  /** Puts the best values back, if there were any. */
  restore(): void {
    const { backend } = this.#adapter;
    for (const [i, { value }] of this.#adapter.parameters().entries())
      if (this.#values) backend.write(value, this.#values[i]);
  }
}
