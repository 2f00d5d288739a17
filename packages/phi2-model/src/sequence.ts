import type { PhiConfig } from './config.js';
import type { Decoder } from './decoder.js';
import type { FinishReason, GenerateOptions } from './generate.js';
import { type SampledToken, sampleToken } from './sampler.js';

/** What one reading led to: a token, the end, or a token that is the last. */
export type Chosen =
  | { readonly token: SampledToken; readonly finished: FinishReason | null }
  | { readonly token: null; readonly finished: FinishReason };

/** One answer under way: what was seen, how many tokens were drawn, and when to end. */
export class Sequence {
  readonly #options: GenerateOptions;
  readonly #limit: number;
  readonly #seen: number[];
  #drawn = 0;

  /** @param prompt all tokens before the answer */
  constructor(prompt: readonly number[], config: PhiConfig, options: GenerateOptions) {
    this.#options = options;
    this.#seen = [...prompt];
    this.#limit = Math.min(options.limit ?? config.vocabSize, config.vocabSize);
  }

  /**
   * Chooses the next token.
   * @param decoder has read everything so far; an answer ends where it is full
   */
  choose(logits: Float32Array, decoder: Decoder): Chosen {
    const { maxNewTokens = 256, stopIds = [] } = this.#options;
    const token = sampleToken(logits, this.#seen, this.#limit, this.#drawn, this.#options);
    if (stopIds.includes(token.id)) return { token: null, finished: 'stop' };
    this.#seen.push(token.id);
    this.#drawn++;
    if (this.#drawn >= maxNewTokens) return { token, finished: 'length' };
    return { token, finished: decoder.length < decoder.capacity ? null : 'context' };
  }
}
