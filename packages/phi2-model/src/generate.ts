import { Decoder } from './decoder.js';
import type { PhiModel } from './model.js';
import { type SampledToken, type SamplingOptions, sampleToken } from './sampler.js';

/** Why an answer ended. */
export type FinishReason = 'stop' | 'length' | 'context' | 'aborted';

/** How to answer. */
export interface GenerateOptions extends SamplingOptions {
  /** Default 256. */
  readonly maxNewTokens?: number;
  /** Ids that end the answer; they are not yielded. */
  readonly stopIds?: readonly number[];
  /** Ids from here on are never chosen: the tokenizer's size. Default: the model's vocabulary. */
  readonly limit?: number;
  readonly signal?: AbortSignal;
  /** Continue this decoder's conversation instead of starting with an empty cache. */
  readonly decoder?: Decoder;
}

/**
 * Answers a prompt, a token at a time, with a key-value cache.
 * @param ids the prompt, or what is new of it when a decoder is given
 * @returns yields tokens as they are chosen and returns why it stopped
 * @throws QLoraError `PHI_CONTEXT` when the prompt does not fit the context
 */
export async function* generate(
  model: PhiModel,
  ids: readonly number[],
  options: GenerateOptions = {},
): AsyncGenerator<SampledToken, FinishReason> {
  const { maxNewTokens = 256, stopIds = [], limit = model.config.vocabSize, signal } = options;
  const decoder = options.decoder ?? new Decoder(model);
  const seen = [...ids];
  try {
    let next = ids;
    for (let draw = 0; draw < maxNewTokens; draw++) {
      if (signal?.aborted) return 'aborted';
      if (decoder.length + next.length > decoder.capacity && draw > 0) return 'context';
      const token = sampleToken(await decoder.read(next), seen, limit, draw, options);
      if (stopIds.includes(token.id)) return 'stop';
      yield token;
      seen.push(token.id);
      next = [token.id];
    }
    return 'length';
  } finally {
    if (!options.decoder) decoder.dispose();
  }
}
