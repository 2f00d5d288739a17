import type { PhiConfig } from './config.js';
import type { Decoder } from './decoder.js';
import { type SampledToken, type SamplingOptions, sampleToken } from './sampler.js';

/** Why an answer ended. */
export type FinishReason = 'stop' | 'length' | 'context' | 'aborted';

/** How tokens are chosen, and which or how many end an answer. */
export interface SequenceOptions extends SamplingOptions {
  /** Default 256. */
  readonly maxNewTokens?: number;
  /** Ids that end the answer; they are not yielded. */
  readonly stopIds?: readonly number[];
  /** Ids from here on are never chosen: the tokenizer's size. Default: the model's vocabulary. */
  readonly limit?: number;
  /**
   * Whether the repetition penalty counts the tokens of the prompt as seen (the default), or those
   * of the answer alone (`prompt_ignore_length` of transformers' processor): a question's words are
   * then free to come back, and so is the end of a turn, which every turn of a prompt has.
   */
  readonly penalizePrompt?: boolean;
}

/** The largest logit wins, after a repetition penalty. */
export interface GreedyChoice {
  readonly penalty: number;
  /** Ids from here on are never chosen. */
  readonly limit: number;
}

/** What one reading led to: a token, the end, or a token that is the last. */
export type Chosen =
  | { readonly token: SampledToken; readonly finished: FinishReason | null }
  | { readonly token: null; readonly finished: FinishReason };

/** One answer under way: what was seen, how many tokens were drawn, and when to end. */
export class Sequence {
  readonly #options: SequenceOptions;
  readonly #limit: number;
  readonly #seen: number[];
  #drawn = 0;

  /** @param prompt all tokens before the answer */
  constructor(prompt: readonly number[], config: PhiConfig, options: SequenceOptions) {
    this.#options = options;
    this.#seen = options.penalizePrompt === false ? [] : [...prompt];
    this.#limit = Math.min(options.limit ?? config.vocabSize, config.vocabSize);
  }

  /** How a device can choose in the host's stead; null where tokens are drawn, or more is told of them. */
  get greedy(): GreedyChoice | null {
    const { temperature = 0, topLogprobs = 0, repetitionPenalty = 1 } = this.#options;
    if (temperature !== 0 || topLogprobs !== 0) return null;
    return { penalty: repetitionPenalty, limit: this.#limit };
  }

  /** The tokens that the repetition penalty counts. */
  get seen(): readonly number[] {
    return this.#seen;
  }

  /** Tokens that may still come. */
  get left(): number {
    return (this.#options.maxNewTokens ?? 256) - this.#drawn;
  }

  /**
   * Chooses the next token.
   * @param decoder has read everything so far; an answer ends where it is full
   */
  choose(logits: Float32Array, decoder: Decoder): Chosen {
    const token = sampleToken(logits, this.#seen, this.#limit, this.#drawn, this.#options);
    return this.accept(token, decoder);
  }

  /** Takes the next token, which was chosen as {@link choose} does. */
  accept(token: SampledToken, decoder: Decoder): Chosen {
    const { maxNewTokens = 256, stopIds = [] } = this.#options;
    if (stopIds.includes(token.id)) return { token: null, finished: 'stop' };
    this.#seen.push(token.id);
    this.#drawn++;
    if (this.#drawn >= maxNewTokens) return { token, finished: 'length' };
    return { token, finished: decoder.length < decoder.capacity ? null : 'context' };
  }
}
