import { randomUUID } from 'node:crypto';
import type { ChatMessage } from '@qlorajs/chat-template';
import { type GenerationSettings, systemMessage, tokensOf, type Voice } from '@qlorajs/session';
import type { Context } from 'hono';
import { ApiError, toApiError } from './api-error.js';
import type { Engine } from './engine.js';
import { chatLogprobs } from './logprobs.js';
import { type ChatRequest, parseChat } from './requests.js';
import { jsonBody, respond, type Shape } from './respond.js';
import { sequenceOptions } from './sequence-options.js';

/** The conversation's tokens; a voice's own system prompt opens it where the client sent none. */
function promptOf(voice: Voice, request: ChatRequest, system: string | undefined): number[] {
  const messages: ChatMessage[] = request.messages.map(({ role, content }) => ({ role, content }));
  if (messages[0].role !== 'system') messages.unshift(...systemMessage(voice, system));
  try {
    return tokensOf(voice, messages);
  } catch (error) {
    const known = toApiError(error);
    if (known.status !== 500) throw known;
    throw new ApiError(400, `messages: ${(error as Error).message}`, { param: 'messages' });
  }
}

function shapeOf(voice: Voice, logprobs: boolean): Shape {
  const base = {
    id: `chatcmpl-${randomUUID()}`,
    created: Math.floor(Date.now() / 1000),
    model: voice.name,
    system_fingerprint: null,
  };
  const chunk = (index: number, delta: object, more: object = {}) => ({
    ...{ ...base, object: 'chat.completion.chunk' },
    choices: [{ index, delta, logprobs: null, finish_reason: null, ...more }],
  });
  return {
    first: (choice) => chunk(choice, { role: 'assistant', content: '' }),
    piece: (choice, { text, tokens }) =>
      chunk(
        choice,
        { content: text },
        logprobs ? { logprobs: chatLogprobs(voice.tokenizer, tokens) } : {},
      ),
    last: (choice, { reason }) => chunk(choice, {}, { finish_reason: reason }),
    usage: (usage) => ({ ...base, object: 'chat.completion.chunk', choices: [], usage }),
    whole: (choices, usage) => ({
      ...{ ...base, object: 'chat.completion' },
      choices: choices.map(({ text, tokens, ending }, index) => ({
        index,
        message: { role: 'assistant', content: text, refusal: null },
        logprobs: logprobs ? chatLogprobs(voice.tokenizer, tokens) : null,
        finish_reason: ending.reason,
      })),
      usage,
    }),
  };
}

/** `POST /v1/chat/completions` */
export function chatRoute(
  engine: Engine,
  defaults: GenerationSettings,
  log: (error: unknown) => void,
) {
  return async (context: Context): Promise<Response> => {
    const request = parseChat(await jsonBody(context));
    const voice = engine.voice(request.model);
    const ids = promptOf(voice, request, defaults.system);
    const count = request.n ?? 1;
    engine.check([ids], count);
    const requests = Array.from({ length: count }, (_, choice) => ({
      ...{ voice, ids },
      ...sequenceOptions(request, defaults, choice),
    }));
    const delivery = {
      ...{ requests, promptTokens: ids.length, log },
      stream: request.stream ?? false,
      includeUsage: request.stream_options?.include_usage ?? false,
    };
    return respond(context, engine, delivery, shapeOf(voice, request.logprobs ?? false));
  };
}
