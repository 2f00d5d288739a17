import type { Tensor } from '@qlorajs/compute';
import { QLoraError } from '@qlorajs/errors';
import type { PhiModel } from './model.js';

/**
 * Incremental decoding: keys and values of what has been read are kept, so that a new token costs
 * one row. The adapter attached to the model at each call is the one that answers.
 */
export class Decoder {
  readonly #model: PhiModel;
  readonly #layers: { readonly k: Tensor; readonly v: Tensor }[];
  /** Positions a row can hold. */
  readonly capacity: number;
  #length = 0;

  /**
   * @param capacity positions to make room for; at most the model's context, which is the default
   */
  constructor(model: PhiModel, capacity: number = model.config.maxPositions) {
    this.#model = model;
    this.capacity = Math.min(capacity, model.config.maxPositions);
    const { layers, hiddenSize } = model.config;
    const make = (name: string) => model.backend.empty('f32', [this.capacity, hiddenSize], name);
    this.#layers = Array.from({ length: layers }, (_, layer) => ({
      k: make(`cache.${layer}.k`),
      v: make(`cache.${layer}.v`),
    }));
  }

  /** Tokens read so far. */
  get length(): number {
    return this.#length;
  }

  /** Bytes of the cache on the device. */
  get bytes(): number {
    return this.#layers.length * 2 * this.capacity * this.#model.config.hiddenSize * 4;
  }

  /** Forgets everything after the first `length` tokens. */
  truncate(length: number): void {
    this.#length = Math.min(this.#length, length);
  }

  /**
   * Reads tokens and predicts the next.
   * @returns f32 `[V]`: the logits after the last of `ids`
   * @throws QLoraError `PHI_CONTEXT` when they do not fit the capacity
   */
  async read(ids: readonly number[]): Promise<Float32Array> {
    const start = this.#length;
    const count = ids.length;
    if (count === 0 || start + count > this.capacity)
      throw new QLoraError(
        'PHI_CONTEXT',
        count === 0
          ? 'there is nothing to read: give at least one token'
          : `${start + count} tokens do not fit the context of ${this.capacity}; shorten the conversation`,
        { details: { tokens: start + count, capacity: this.capacity } },
      );
    const model = this.#model;
    const positions = Int32Array.from({ length: count }, (_, i) => start + i);
    const slots = model.workspace.integers('cache.slots', positions);
    const pass = model.beginPass(1, count, {
      positions,
      keyLengths: Int32Array.of(start + count),
      queryStart: Int32Array.of(start),
      cache: { capacity: this.capacity, layers: this.#layers, slots },
    });
    const h = model.runBlocks(pass, model.embed(pass, Int32Array.from(ids)));
    const logits = await model.backend.read(model.headLogits(pass, h, Int32Array.of(count - 1)));
    this.#length = start + count;
    return logits;
  }

  dispose(): void {
    for (const { k, v } of this.#layers) {
      this.#model.backend.free(k);
      this.#model.backend.free(v);
    }
    this.#layers.length = 0;
  }
}
