import type { Tensor } from '@qlorajs/compute';
import { QLoraError } from '@qlorajs/errors';
import type { LoraAdapter } from '@qlorajs/lora';
import { needsOwnPass } from './adapter-view.js';
import { after } from './maybe-promise.js';
import type { PhiModel } from './model.js';
import { runsOf } from './pass.js';

/**
 * Incremental decoding of one sequence: keys and values of what has been read are kept, so that a
 * new token costs one row. Several decoders of a model can step together (`Decoder.step`).
 */
export class Decoder {
  readonly #model: PhiModel;
  readonly #layers: { readonly k: Tensor; readonly v: Tensor }[];
  readonly #adapter: LoraAdapter | null | undefined;
  /** Positions it can hold. */
  readonly capacity: number;
  #length = 0;

  /**
   * @param capacity positions to make room for; at most the model's context, which is the default
   * @param adapter whose adapter reads, null being the base; default: the one attached at each call
   */
  constructor(
    model: PhiModel,
    capacity: number = model.config.maxPositions,
    adapter?: LoraAdapter | null,
  ) {
    this.#model = model;
    this.#adapter = adapter;
    const { layers, hiddenSize, maxPositions } = model.config;
    this.capacity = Math.min(capacity, maxPositions);
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

  /** The adapter of the next read. */
  get adapter(): LoraAdapter | null {
    return this.#adapter === undefined ? this.#model.adapter : this.#adapter;
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
    return decode(this.#model, [this], ids);
  }

  /**
   * Reads one token for each of several decoders of one model, in one pass; each with its own
   * adapter and at its own position.
   * @returns f32 `[V]` for each decoder
   * @throws QLoraError `PHI_CONTEXT` when one of them is full
   */
  static async step(decoders: readonly Decoder[], ids: readonly number[]): Promise<Float32Array[]> {
    const adapters = [...new Set(decoders.map(({ adapter }) => adapter))];
    const rowsOf = (each: LoraAdapter | null) =>
      [...decoders.keys()].filter((i) => decoders[i].adapter === each);
    // Rows that share an adapter stand together: one product serves them all.
    const together = adapters.filter((each) => !needsOwnPass(each)).flatMap(rowsOf);
    const apart = adapters.filter(needsOwnPass).map(rowsOf);
    const result = new Array<Float32Array>(decoders.length);
    for (const order of [together, ...apart]) {
      if (order.length === 0) continue;
      const model = decoders[order[0]].#model;
      const logits = await decode(
        model,
        order.map((i) => decoders[i]),
        order.map((i) => ids[i]),
      );
      const { vocabSize } = model.config;
      order.forEach((i, row) => {
        result[i] = logits.subarray(row * vocabSize, (row + 1) * vocabSize);
      });
    }
    return result;
  }

  /** @internal */
  get layers(): readonly { readonly k: Tensor; readonly v: Tensor }[] {
    return this.#layers;
  }

  /** @internal Counts tokens whose keys and values were written: those beyond are as if they never had been. */
  advance(count: number): void {
    this.#length += count;
  }

  dispose(): void {
    for (const { k, v } of this.#layers) {
      this.#model.backend.free(k);
      this.#model.backend.free(v);
    }
    this.#layers.length = 0;
  }
}

/** @throws QLoraError `PHI_CONTEXT` */
export function checkRoom({ length, capacity }: Decoder, count: number): void {
  if (count > 0 && length + count <= capacity) return;
  throw new QLoraError(
    'PHI_CONTEXT',
    count === 0
      ? 'there is nothing to read: give at least one token'
      : `${length + count} tokens do not fit the context of ${capacity}; shorten the conversation`,
    { details: { tokens: length + count, capacity } },
  );
}

/**
 * One pass over the next tokens of each decoder, as many for each.
 * @param ids `[decoders, T]`
 * @returns f32 `[decoders, V]`: the logits after each one's last token
 */
async function decode(
  model: PhiModel,
  decoders: readonly Decoder[],
  ids: readonly number[],
): Promise<Float32Array> {
  const batch = decoders.length;
  const count = ids.length / batch;
  for (const decoder of decoders) checkRoom(decoder, count);
  const positions = Int32Array.from(
    ids,
    (_, i) => decoders[Math.floor(i / count)].length + (i % count),
  );
  const pass = model.beginPass(batch, count, {
    positions,
    keyLengths: Int32Array.from(decoders, ({ length }) => length + count),
    queryStart: Int32Array.from(decoders, ({ length }) => length),
    caches: decoders,
    slots: positions,
    runs: runsOf(
      decoders.map(({ adapter }) => adapter),
      count,
    ),
  });
  const last = Int32Array.from({ length: batch }, (_, b) => (b + 1) * count - 1);
  return after(model.runBlocks(pass, model.embed(pass, Int32Array.from(ids))), (h) => {
    const logits = model.headLogits(pass, h, last);
    for (const decoder of decoders) decoder.advance(count);
    return model.backend.read(logits);
  });
}
