import { Ahead } from './ahead.js';
import { Decoder } from './decoder.js';
import type { PhiModel } from './model.js';
import type { SampledToken } from './sampler.js';
import { type Chosen, type FinishReason, Sequence, type SequenceOptions } from './sequence.js';

/** How to answer. */
export interface GenerateOptions extends SequenceOptions {
  readonly signal?: AbortSignal;
  /** Continue this decoder's conversation instead of starting with an empty cache. */
  readonly decoder?: Decoder;
  /** The tokens that `decoder` has read: for the repetition penalty they are of the prompt. */
  readonly history?: readonly number[];
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
  const decoder = options.decoder ?? new Decoder(model);
  const sequence = new Sequence([...(options.history ?? []), ...ids], model.config, options);
  const ahead = Ahead.of(model, decoder, sequence);
  const after = async (id: number): Promise<Chosen> =>
    ahead
      ? sequence.accept(await ahead.next(id), decoder)
      : sequence.choose(await decoder.read([id]), decoder);
  try {
    if (options.signal?.aborted) return 'aborted';
    let { token, finished } = sequence.choose(await decoder.read(ids), decoder);
    for (;;) {
      if (token) yield token;
      if (finished) return finished;
      if (options.signal?.aborted) return 'aborted';
      ({ token, finished } = await after(token!.id));
    }
  } finally {
    ahead?.dispose();
    if (!options.decoder) decoder.dispose();
  }
}
