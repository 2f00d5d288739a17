import { randomUUID } from 'node:crypto';
import type { GenerationSettings, Voice } from '@qlorajs/session';
import type { Context } from 'hono';
import { ApiError } from './api-error.js';
import type { Engine } from './engine.js';
import { completionLogprobs } from './logprobs.js';
import { type CompletionRequest, parseCompletion } from './requests.js';
import { jsonBody, respond, type Shape } from './respond.js';
import { sequenceOptions } from './sequence-options.js';

/** Each prompt's tokens: texts are continued as they are, without a template. */
function promptsOf(voice: Voice, { prompt }: CompletionRequest): number[][] {
  if (typeof prompt === 'string') return [voice.tokenizer.encode(prompt).ids];
  if (typeof prompt[0] === 'string')
    return (prompt as string[]).map((text) => voice.tokenizer.encode(text).ids);
  const ids = prompt as number[];
  const wrong = ids.find((id) => id >= voice.tokenizer.size);
  if (wrong !== undefined)
    throw new ApiError(400, `prompt: there is no token ${wrong}`, { param: 'prompt' });
  return [ids];
}

function shapeOf(voice: Voice, logprobs: boolean): Shape {
  const base = {
    id: `cmpl-${randomUUID()}`,
    object: 'text_completion',
    created: Math.floor(Date.now() / 1000),
    model: voice.name,
    system_fingerprint: null,
  };
  const offsets = new Map<number, number>();
  const choice = (index: number, text: string, more: object) => ({
    ...{ text, index, logprobs: null, finish_reason: null },
    ...more,
  });
  return {
    piece: (index, { text, tokens }) => {
      const offset = offsets.get(index) ?? 0;
      offsets.set(index, offset + text.length);
      const more = logprobs
        ? { logprobs: completionLogprobs(voice.tokenizer, tokens, offset) }
        : {};
      return { ...base, choices: [choice(index, text, more)] };
    },
    last: (index, { reason }) => ({
      ...base,
      choices: [choice(index, '', { finish_reason: reason })],
    }),
    usage: (usage) => ({ ...base, choices: [], usage }),
    whole: (choices, usage) => ({
      ...base,
      choices: choices.map(({ text, tokens, ending }, index) =>
        choice(index, text, {
          finish_reason: ending.reason,
          logprobs: logprobs ? completionLogprobs(voice.tokenizer, tokens, 0) : null,
        }),
      ),
      usage,
    }),
  };
}

/** `POST /v1/completions` */
export function completionsRoute(
  engine: Engine,
  defaults: GenerationSettings,
  log: (error: unknown) => void,
) {
  return async (context: Context): Promise<Response> => {
    const request = parseCompletion(await jsonBody(context));
    const voice = engine.voice(request.model);
    const prompts = promptsOf(voice, request);
    const count = request.n ?? 1;
    engine.check(prompts, prompts.length * count);
    const requests = prompts.flatMap((ids) =>
      Array.from({ length: count }, (_, choice) => ({
        ...{ voice, ids },
        ...sequenceOptions(request, defaults, choice),
      })),
    );
    const delivery = {
      ...{ requests, log },
      promptTokens: prompts.reduce((sum, { length }) => sum + length, 0),
      stream: request.stream ?? false,
      includeUsage: request.stream_options?.include_usage ?? false,
    };
    const logprobs = request.logprobs !== null && request.logprobs !== undefined;
    return respond(context, engine, delivery, shapeOf(voice, logprobs));
  };
}
