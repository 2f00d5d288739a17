import type { ChatMessage } from '@qlorajs/chat-template';
import { QLoraError } from '@qlorajs/errors';
import {
  Decoder,
  type FinishReason,
  generate,
  type PhiModel,
  StopStrings,
} from '@qlorajs/phi2-model';
import type { GenerationSettings } from '../options/generation-options.js';
import { turn } from '../turn.js';
import { promptIds } from './chat-format.js';
import type { Voice } from './voice.js';

/** What came out. */
export interface Answer {
  readonly answer: string;
  readonly prompt_tokens: number;
  readonly tokens: number;
  readonly finish_reason: FinishReason;
  readonly tokens_per_second: number;
}

/** How to go about one answer. */
export interface AnswerContext {
  readonly signal?: AbortSignal;
  /** Continue on this cache; `ids` are what is new. */
  readonly decoder?: Decoder;
  /** What that cache holds: seen tokens, for the repetition penalty. */
  readonly history?: readonly number[];
  /** Text as it is complete. */
  readonly onText?: (text: string) => void;
  /** Every token that was chosen. */
  readonly onToken?: (id: number) => void;
}

/** The system message, as a list: the one that was given, else the voice's own; '' is none. */
export function systemMessage(voice: Voice, given: string | undefined): ChatMessage[] {
  const content = given ?? voice.systemPrompt ?? '';
  return content === '' ? [] : [{ role: 'system', content }];
}

/** Prompt tokens of messages; without a chat template only a lone user text can be continued. */
export function tokensOf(voice: Voice, messages: readonly ChatMessage[]): number[] {
  if (voice.format !== null) return promptIds(voice.format, messages);
  if (messages.length === 1) return voice.tokenizer.encode(messages[0].content).ids;
  throw new QLoraError(
    'CHAT_TEMPLATE_MISSING',
    `${voice.name} has no chat template, so it takes one text to continue and neither a system message nor a conversation; give an --adapter that was trained on chats`,
  );
}

/** Generates an answer to prompt tokens and hands its text on as it comes. */
export async function answer(
  model: PhiModel,
  voice: Voice,
  ids: readonly number[],
  settings: GenerationSettings,
  context: AnswerContext = {},
): Promise<Answer> {
  const capacity = Math.min(model.config.maxPositions, ids.length + settings.maxNewTokens);
  const decoder = context.decoder ?? new Decoder(model, capacity);
  const { eosId } = voice.tokenizer;
  const stopIds = voice.format?.stopIds ?? (eosId === null ? [] : [eosId]);
  const stream = voice.tokenizer.streamDecoder({ skipSpecialTokens: true });
  const stop = new StopStrings(settings.stop ?? []);
  let [text, tokens] = ['', 0];
  const add = (piece: string) => {
    text += piece;
    if (piece !== '') context.onText?.(piece);
  };
  let started = performance.now();
  const generation = generate(model, ids, {
    ...settings,
    stopIds,
    limit: voice.tokenizer.size,
    decoder,
    history: context.history,
    signal: context.signal,
  });
  const finish = (reason: FinishReason): Answer => {
    // The first token is the prompt's work.
    const seconds = (performance.now() - started) / 1000;
    return {
      answer: text,
      prompt_tokens: ids.length,
      tokens,
      finish_reason: reason,
      tokens_per_second: tokens > 1 ? (tokens - 1) / seconds : 0,
    };
  };
  try {
    for (;;) {
      const next = await generation.next();
      if (next.done) {
        add(stop.push(stream.flush()) + stop.flush());
        return finish(next.value);
      }
      if (tokens++ === 0) started = performance.now();
      context.onToken?.(next.value.id);
      add(stop.push(stream.push(next.value.id)));
      if (stop.found !== null) return finish('stop');
      await turn(); // lets Ctrl-C in
    }
  } finally {
    if (!context.decoder) decoder.dispose();
  }
}
