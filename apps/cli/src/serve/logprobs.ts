import type { SampledToken, TokenLogprob } from '@qlorajs/phi2-model';
import type { Tokenizer } from '@qlorajs/tokenizer';

function named(tokenizer: Tokenizer, { id, logprob }: TokenLogprob) {
  const token = tokenizer.decode([id]);
  return { token, logprob, bytes: [...new TextEncoder().encode(token)] };
}

/** `logprobs` of a chat's choice. */
export function chatLogprobs(tokenizer: Tokenizer, tokens: readonly SampledToken[]) {
  return {
    content: tokens.map((token) => ({
      ...named(tokenizer, token),
      top_logprobs: (token.top ?? []).map((each) => named(tokenizer, each)),
    })),
    refusal: null,
  };
}

/** `logprobs` of a text completion's choice. */
export function completionLogprobs(
  tokenizer: Tokenizer,
  tokens: readonly SampledToken[],
  offset: number,
) {
  const texts = tokens.map(({ id }) => tokenizer.decode([id]));
  let at = offset;
  return {
    tokens: texts,
    token_logprobs: tokens.map(({ logprob }) => logprob),
    top_logprobs: tokens.map(({ top }) =>
      Object.fromEntries((top ?? []).map(({ id, logprob }) => [tokenizer.decode([id]), logprob])),
    ),
    text_offset: texts.map((each) => {
      const start = at;
      at += each.length;
      return start;
    }),
  };
}
