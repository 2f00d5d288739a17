import { QLoraError } from '@qlorajs/errors';
import type { LoraAdapter } from '@qlorajs/lora';
import { writeSafetensors } from '@qlorajs/safetensors';

/** Keeps a copy of an adapter's values at its best evaluation, to end with them. */
export class BestAdapter {
  readonly #adapter: LoraAdapter;
  #values: ReadonlyMap<string, Float32Array> | null = null;

  /** @param values from a checkpoint, by parameter name */
  constructor(adapter: LoraAdapter, values: ReadonlyMap<string, Float32Array> | null = null) {
    this.#adapter = adapter;
    const parameters = adapter.parameters();
    if (
      values !== null &&
      parameters.some(({ name, value }) => values.get(name)?.length !== value.size)
    )
      throw new QLoraError(
        'CHECKPOINT_BROKEN',
        'the best adapter in the checkpoint does not fit the adapter; resume from another checkpoint',
      );
    this.#values = values;
  }

  async remember(): Promise<void> {
    const { backend } = this.#adapter;
    const values = new Map<string, Float32Array>();
    for (const { name, value } of this.#adapter.parameters())
      values.set(name, await backend.read(value));
    this.#values = values;
  }

  /** Puts the best values back, if there were any. */
  restore(): void {
    const { backend } = this.#adapter;
    for (const { name, value } of this.#adapter.parameters()) {
      const best = this.#values?.get(name);
      if (best) backend.write(value, best);
    }
  }

  /** As a safetensors file; null when nothing was remembered. */
  bytes(): Uint8Array | null {
    if (this.#values === null) return null;
    const tensors = [...this.#values].map(
      ([name, data]) => [name, { dtype: 'F32', shape: [data.length], data }] as const,
    );
    return writeSafetensors(Object.fromEntries(tensors), {});
  }
}
