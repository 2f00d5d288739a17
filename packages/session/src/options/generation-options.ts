import { type OptionsOf, option, optional } from './table.js';
import { anyText, integer, number, toggle, whole } from './value-types.js';

/** How answers are chosen, in `ask` and `chat`; the defaults are greedy. */
export const generationOptions = {
  system: optional(
    anyText('TEXT'),
    "system message (default: the one the adapter was trained with; '' is none)",
  ),
  max_new_tokens: option(integer(1), 256, 'length limit of an answer'),
  temperature: option(number(0), 0, '0 always takes the likeliest token'),
  top_p: option(number(0, 1), 1, 'nucleus: keep this much probability'),
  top_k: option(integer(0), 0, 'keep so many tokens; 0: all'),
  min_p: option(number(0, 1), 0, 'keep what is at least this fraction as likely as the likeliest'),
  repetition_penalty: option(number(0.01), 1, 'above 1 discourages what was said before'),
  penalize_prompt: option(toggle, true, 'it counts the words of the prompt too'),
  stop: optional(whole('TEXT'), 'an answer ends before this text; repeatable'),
  seed: option(integer(0, 2 ** 32 - 1), 42, 'of the draws'),
};

export type GenerationSettings = OptionsOf<typeof generationOptions>;
