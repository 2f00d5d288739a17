import {
  type ChatMessage,
  type ChatTemplate,
  compileChatTemplate,
  TUTOR_CHAT_TEMPLATE,
  TUTOR_MARKERS,
} from '@qlorajs/chat-template';
import { QLoraError } from '@qlorajs/errors';
import type { Tokenizer } from '@qlorajs/tokenizer';

/** How a chat becomes tokens, and where an answer ends. */
export interface ChatFormat {
  /** With the tokens that the template needs. */
  readonly tokenizer: Tokenizer;
  readonly template: ChatTemplate;
  /** Variables of the template: `bos_token`, `eos_token`. */
  readonly variables: Readonly<Record<string, string>>;
  /** Ids of tokens that were added for the template; the base never saw them. */
  readonly addedIds: readonly number[];
  /** Tokens that end an answer. */
  readonly stopIds: readonly number[];
}

/** The last token of a rendered answer, if it is a special one such as `<|end|>`. */
function endOfTurn(template: ChatTemplate, tokenizer: Tokenizer, variables: object): number[] {
  if (!template.hasGenerationTags) return [];
  const messages = [
    { role: 'user', content: 'a' },
    { role: 'assistant', content: 'b' },
  ];
  const { text, spans } = template.render(messages, { variables: { ...variables } });
  const { start, end } = spans[0] ?? { start: 0, end: 0 };
  const last = tokenizer.encode(text.slice(start, end)).ids.at(-1);
  const isText = last === undefined || tokenizer.decode([last], { skipSpecialTokens: true }) !== '';
  return isText ? [] : [last];
}

function formatOf(tokenizer: Tokenizer, source: string, addedIds: readonly number[]): ChatFormat {
  const template = compileChatTemplate(source);
  const { bosToken, eosToken, eosId } = tokenizer;
  const variables = {
    ...(bosToken !== null && { bos_token: bosToken }),
    ...(eosToken !== null && { eos_token: eosToken }),
  };
  const stops = [...endOfTurn(template, tokenizer, variables), ...(eosId === null ? [] : [eosId])];
  return { tokenizer, template, variables, addedIds, stopIds: [...new Set(stops)] };
}

/** The tutor format on any tokenizer: its four markers are added where they are missing. */
function tutorFormat(tokenizer: Tokenizer, rows: number): ChatFormat {
  const added = TUTOR_MARKERS.filter((marker) => tokenizer.idOf(marker) === undefined);
  const extended = tokenizer.addTokens(added, { limit: rows });
  const ids = added.map((marker) => extended.idOf(marker)!);
  return formatOf(extended, TUTOR_CHAT_TEMPLATE, ids);
}

/**
 * Chooses the chat format.
 * @param choice `tutor`, `base` (the tokenizer's own), a Jinja source; left out: its own if it has one,
 * else tutor
 * @param rows of the base's embedding, where added tokens must fit
 * @throws QLoraError `CHAT_TEMPLATE_MISSING` when `base` is asked for and there is none
 */
export function chooseChatFormat(
  tokenizer: Tokenizer,
  choice: 'tutor' | 'base' | { readonly source: string } | undefined,
  rows: number,
): ChatFormat {
  const own = tokenizer.chatTemplate;
  if (choice === 'tutor' || (choice === undefined && own === null))
    return tutorFormat(tokenizer, rows);
  if (typeof choice === 'object') return formatOf(tokenizer, choice.source, []);
  if (own === null)
    throw new QLoraError(
      'CHAT_TEMPLATE_MISSING',
      '--chat-template base: the base has no chat template; leave the flag out to use the tutor format, or give a Jinja file',
    );
  return formatOf(tokenizer, own, []);
}

/** The format of a folder that brings its own template; null where it has none. */
export function ownFormat(tokenizer: Tokenizer): ChatFormat | null {
  return tokenizer.chatTemplate === null ? null : formatOf(tokenizer, tokenizer.chatTemplate, []);
}

/** A prompt that asks for the next answer. */
export function promptIds(format: ChatFormat, messages: readonly ChatMessage[]): number[] {
  const { template, tokenizer, variables } = format;
  const { text } = template.render(messages, { addGenerationPrompt: true, variables });
  return tokenizer.encode(text).ids;
}
