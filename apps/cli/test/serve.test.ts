import { execFile } from 'node:child_process';
import { request } from 'node:http';
import { promisify } from 'node:util';
import { answer, generationOptions, systemMessage, tokensOf, withDefaults } from '@qlorajs/session';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Session } from '../src/model/session.js';
import { nanoSession, type Served, serveSession } from './support/served.js';

const curl = promisify(execFile);
const user = (content: string) => [{ role: 'user' as const, content }];

let session: Session;
let served: Served;
let client: OpenAI;

beforeAll(async () => {
  session = await nanoSession(['sql', 'stories']);
  served = await serveSession(session);
  client = new OpenAI({ baseURL: `${served.url}/v1`, apiKey: 'none', maxRetries: 0 });
});

afterAll(async () => {
  await served?.close();
  await session?.close();
});

/** What `ask` answers. */
async function asked(name: string, question: string): Promise<string> {
  const voice = session.voices.find((each) => each.name === name)!;
  session.model.attach(voice.adapter);
  const ids = tokensOf(voice, [...systemMessage(voice, undefined), ...user(question)]);
  const settings = withDefaults(generationOptions, { maxNewTokens: 24 });
  const result = await answer(session.model, voice, ids, settings);
  session.model.attach(null);
  return result.answer;
}

describe('the openai client', () => {
  test('lists base and adapters as models', async () => {
    const models = await client.models.list();
    expect(models.data.map(({ id }) => id)).toEqual(['phi-nano', 'sql', 'stories']);
    expect((await client.models.retrieve('sql')).id).toBe('sql');
  });

  test('gets what ask answers, whole and streamed, from both adapters at once', async () => {
    const question = '¿Cómo cuento los alumnos?';
    const texts = await Promise.all(
      ['sql', 'stories'].map(async (model) => {
        const whole = await client.chat.completions.create({ model, messages: user(question) });
        expect(whole.object).toBe('chat.completion');
        expect(whole.usage?.total_tokens).toBe(
          whole.usage!.prompt_tokens + whole.usage!.completion_tokens,
        );
        const stream = await client.chat.completions.create({
          ...{ model, messages: user(question), stream: true },
          stream_options: { include_usage: true },
        });
        let [text, reason, tokens] = ['', '', 0];
        for await (const chunk of stream) {
          text += chunk.choices[0]?.delta.content ?? '';
          reason = chunk.choices[0]?.finish_reason ?? reason;
          tokens = chunk.usage?.completion_tokens ?? tokens;
        }
        expect(text).toBe(whole.choices[0].message.content);
        expect(reason).toBe(whole.choices[0].finish_reason);
        expect(tokens).toBe(whole.usage!.completion_tokens);
        return text;
      }),
    );
    expect(texts[0]).not.toBe(texts[1]);
    expect(texts).toEqual([await asked('sql', question), await asked('stories', question)]);
  });

  test('stop strings, several choices, log-probabilities, text completions', async () => {
    const { choices } = await client.chat.completions.create({
      ...{ model: 'sql', messages: user('¿Cómo cuento los alumnos?'), stop: ['\n'] },
      ...{ n: 2, logprobs: true, top_logprobs: 3, seed: 4, temperature: 0.7 },
    });
    expect(choices).toHaveLength(2);
    for (const { message, logprobs, finish_reason } of choices) {
      expect(message.content).not.toContain('\n');
      expect(['stop', 'length']).toContain(finish_reason);
      for (const { logprob, top_logprobs } of logprobs?.content ?? []) {
        expect(logprob).toBeLessThanOrEqual(0);
        expect(top_logprobs).toHaveLength(3);
        expect(top_logprobs[0].logprob).toBeGreaterThanOrEqual(top_logprobs[2].logprob);
      }
    }
    const completion = await client.completions.create({
      ...{ model: 'phi-nano', prompt: ['Una pila es', 'Una cola es'], max_tokens: 5, logprobs: 1 },
    });
    expect(completion.choices.map(({ index }) => index)).toEqual([0, 1]);
    const [first] = completion.choices;
    expect(first.logprobs?.tokens?.join('')).toBe(first.text);
    expect(completion.usage?.completion_tokens).toBe(10);
  });

  test('errors have their shape', async () => {
    const messages = user('hola');
    const wrong = [
      [{ model: 'gpt-4', messages }, 404, 'model_not_found'],
      [{ model: 'sql', messages: [] }, 400, 'invalid_value'],
      [{ model: 'sql', messages, temperature: 9 }, 400, 'invalid_value'],
      [{ model: 'sql', messages, presence_penalty: 1 }, 400, 'invalid_value'],
      [{ model: 'sql', messages: user('palabra '.repeat(600)) }, 400, 'context_length_exceeded'],
      [
        { model: 'phi-nano', messages: [{ role: 'system', content: 'x' }, ...messages] },
        400,
        'chat_template_missing',
      ],
    ] as const;
    for (const [body, status, code] of wrong) {
      const failure = await client.chat.completions.create(body as never).catch((each) => each);
      expect(failure).toBeInstanceOf(OpenAI.APIError);
      expect([failure.status, failure.code]).toEqual([status, code]);
      expect(failure.error.type).toBe('invalid_request_error');
    }
    expect(served.failures).toEqual([]);
  });
});

describe('curl', () => {
  const run = async (...args: string[]) => (await curl('curl', ['-sS', ...args])).stdout;
  const json = ['-H', 'content-type: application/json'];

  test('health, metrics, a stream, and what is refused', async () => {
    expect(JSON.parse(await run(`${served.url}/health`))).toEqual({ status: 'ok' });
    const body = JSON.stringify({
      ...{ model: 'sql', messages: user('¿Cómo borro un alumno?'), max_tokens: 4, stream: true },
    });
    const events = (await run(`${served.url}/v1/chat/completions`, ...json, '-d', body))
      .split('\n\n')
      .filter((each) => each !== '');
    expect(events.at(-1)).toBe('data: [DONE]');
    expect(events.every((each) => each.startsWith('data: '))).toBe(true);
    const text = await run(`${served.url}/metrics`);
    expect(text).toMatch(/qlora_generated_tokens_total \d+/);
    expect(text).toMatch(/qlora_first_token_seconds_bucket\{le="\+Inf"\} \d+/);
    expect(text).toMatch(/qlora_running 0/);
    const code = async (...args: string[]) =>
      JSON.parse(await run(...args)).error as { message: string; code: string | null };
    const url = `${served.url}/v1/chat/completions`;
    expect((await code(url, ...json, '-d', '{"model":')).code).toBe('invalid_json');
    expect((await code(url, '-d', body)).message).toMatch(/content-type/);
    const large = await fetch(url, {
      ...{ method: 'POST', headers: { 'content-type': 'application/json' } },
      body: `"${'x'.repeat(200_000)}"`,
    });
    expect(large.status).toBe(413);
    expect(((await large.json()) as { error: { code: string } }).error.code).toBe(
      'request_too_large',
    );
    expect((await code(`${served.url}/v1/nothing`)).code).toBe('unknown_url');
    expect((await code(url, ...json, '-H', 'host: evil.example', '-d', body)).message).toMatch(
      /localhost only/,
    );
  });
});

test('a token is asked for, in every route but health', async () => {
  const guarded = await serveSession(session, {}, { token: 'secret' });
  try {
    const status = async (path: string, token?: string) =>
      (
        await fetch(
          `${guarded.url}${path}`,
          token ? { headers: { authorization: `Bearer ${token}` } } : {},
        )
      ).status;
    expect(await status('/health')).toBe(200);
    expect(await status('/v1/models')).toBe(401);
    expect(await status('/v1/models', 'wrong')).toBe(401);
    expect(await status('/v1/models', 'secret')).toBe(200);
    expect(await status('/metrics')).toBe(401);
  } finally {
    await guarded.close();
  }
});

test('a client that leaves stops the work, streamed or not', async () => {
  for (const stream of [true, false]) {
    const body = JSON.stringify({
      ...{ model: 'phi-nano', prompt: 'Una pila es', max_tokens: 500, stream },
    });
    await new Promise<void>((resolve) => {
      const call = request(`${served.url}/v1/completions`, {
        ...{ method: 'POST', headers: { 'content-type': 'application/json' } },
      });
      call.on('error', () => resolve());
      call.end(body);
      const wait = setInterval(() => {
        if (served.engine.load.running === 0) return;
        clearInterval(wait);
        call.destroy();
      }, 2);
    });
    const started = performance.now();
    while (served.engine.load.running > 0) {
      expect(performance.now() - started).toBeLessThan(5000);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
  expect(await (await fetch(`${served.url}/metrics`)).text()).toMatch(/qlora_cancelled_total 2/);
  expect(served.failures).toEqual([]);
});

test('limits: a full queue is 429, a late answer is a time-out', async () => {
  const small = await serveSession(session, { maxBatch: 1, maxQueue: 1, requestTimeout: 0.15 });
  try {
    const create = () =>
      fetch(`${small.url}/v1/completions`, {
        ...{ method: 'POST', headers: { 'content-type': 'application/json' } },
        body: JSON.stringify({ model: 'phi-nano', prompt: 'Una pila es', max_tokens: 500 }),
      });
    const answers = await Promise.all([create(), create(), create(), create()]);
    const statuses = answers.map(({ status }) => status).sort();
    expect(statuses).toEqual([408, 408, 429, 429]);
    const refused = answers.find(({ status }) => status === 429)!;
    expect(refused.headers.get('retry-after')).toBe('1');
    expect(((await refused.json()) as { error: { type: string } }).error.type).toBe(
      'rate_limit_error',
    );
    await small.engine.idle();
    expect(small.engine.load.running).toBe(0);
  } finally {
    await small.close();
  }
});

test('many clients at once: no error, no growth', async () => {
  const one = async (i: number) => {
    const { choices } = await client.chat.completions.create({
      model: ['sql', 'stories'][i % 2],
      messages: user('¿Cómo veo los nombres?'),
      ...{ max_tokens: 1 + (i % 7), stream: false },
    });
    expect(choices).toHaveLength(1);
  };
  await Promise.all(Array.from({ length: 20 }, (_, i) => one(i)));
  await served.engine.idle();
  const before = session.backend.memory().live;
  await Promise.all(Array.from({ length: 40 }, (_, i) => one(i)));
  await served.engine.idle();
  expect(session.backend.memory().live).toBe(before);
  expect(served.failures).toEqual([]);
});
