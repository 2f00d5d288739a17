import type { Context } from 'hono';
import { streamSSE } from 'hono/streaming';
import { ApiError, toApiError } from './api-error.js';
import type { Ending, Engine, EngineRequest, Piece } from './engine.js';

/** How one endpoint dresses what the engine yields. */
export interface Shape {
  /** Objects of a stream before a choice's first piece. */
  readonly first?: (choice: number) => object;
  readonly piece: (choice: number, piece: Piece) => object;
  readonly last: (choice: number, ending: Ending) => object;
  readonly usage: (usage: Usage) => object;
  readonly whole: (choices: readonly WholeChoice[], usage: Usage) => object;
}

/** One finished answer. */
interface WholeChoice {
  readonly text: string;
  readonly tokens: readonly Piece['tokens'][number][];
  readonly ending: Ending;
}

/** OpenAI's count of tokens. */
interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
}

function usageOf(prompt: number, completion: number): Usage {
  return {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
  };
}

async function whole(engine: Engine, request: EngineRequest): Promise<WholeChoice> {
  const answer = engine.answer(request);
  let text = '';
  const tokens: WholeChoice['tokens'][number][] = [];
  for (;;) {
    const next = await answer.next();
    if (next.done) return { text, tokens, ending: next.value };
    text += next.value.text;
    tokens.push(...next.value.tokens);
  }
}

/** What a request asks for beside its answers. */
export interface Delivery {
  readonly requests: readonly Omit<EngineRequest, 'signal'>[];
  /** Tokens of the prompts, each counted once. */
  readonly promptTokens: number;
  readonly stream: boolean;
  readonly includeUsage: boolean;
  /** Told what went wrong inside. */
  readonly log: (error: unknown) => void;
}

/** Computes a request's answers and sends them, whole or as server-sent events. */
export async function respond(
  context: Context,
  engine: Engine,
  delivery: Delivery,
  shape: Shape,
): Promise<Response> {
  const client = new AbortController();
  const gone = () => client.abort();
  const { signal } = context.req.raw;
  if (signal.aborted) gone();
  signal.addEventListener('abort', gone, { once: true });
  const requests = delivery.requests.map((each) => ({ ...each, signal: client.signal }));
  if (!delivery.stream) {
    try {
      const choices = await Promise.all(requests.map((request) => whole(engine, request)));
      const completion = choices.reduce((sum, { ending }) => sum + ending.tokens, 0);
      return context.json(shape.whole(choices, usageOf(delivery.promptTokens, completion)));
    } catch (error) {
      gone(); // its other choices
      throw error;
    }
  }
  return streamSSE(context, async (stream) => {
    stream.onAbort(gone);
    const send = async (data: object) => {
      await stream.writeSSE({ data: JSON.stringify(data) });
    };
    const one = async (request: EngineRequest, choice: number): Promise<number> => {
      if (shape.first) await send(shape.first(choice));
      const answer = engine.answer(request);
      for (;;) {
        const next = await answer.next();
        if (next.done) {
          await send(shape.last(choice, next.value));
          return next.value.tokens;
        }
        await send(shape.piece(choice, next.value));
      }
    };
    try {
      const counts = await Promise.all(requests.map(one));
      const completion = counts.reduce((sum, count) => sum + count, 0);
      if (delivery.includeUsage)
        await send(shape.usage(usageOf(delivery.promptTokens, completion)));
      await stream.writeSSE({ data: '[DONE]' });
    } catch (thrown) {
      gone();
      const error = toApiError(thrown);
      if (error.status === 500) delivery.log(thrown);
      if (error.code !== 'client_gone') await send(error.body);
    }
  });
}

/** The JSON of a request. @throws ApiError for anything else */
export async function jsonBody(context: Context): Promise<unknown> {
  // A page of another origin cannot send this type without asking first, so it cannot use the server.
  const type = context.req.header('content-type') ?? '';
  if (!/^application\/json\b/i.test(type))
    throw new ApiError(415, `content-type is "${type}"; send application/json`);
  try {
    return await context.req.json();
  } catch (error) {
    if (error instanceof ApiError) throw error;
    throw new ApiError(400, `the body is not JSON: ${(error as Error).message}`, {
      code: 'invalid_json',
    });
  }
}
