import type { Backend, Decoding } from '@qlorajs/compute';
import type { LoraAdapter } from '@qlorajs/lora';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  Decoder,
  type GenerateOptions,
  GenerationPool,
  generate,
  type PhiModel,
  type SampledToken,
} from '../src/index.js';
import { backends, PATIENT } from './backends.js';
import { difference } from './fixtures.js';
import { tinyAdapter, tinyModel } from './tiny-model.js';

/** Wide enough for the kernels that take a whole block. */
const WIDE = { hidden_size: 128, intermediate_size: 192, max_position_embeddings: 64 };
const PROMPT = [1, 3, 9, 17];
const ADAPTED = [
  ['the base', false],
  ['an adapter', true],
] as const;

/** Telling the likeliest is the host's: then no token is chosen on the device. */
const BY_HOST = { topLogprobs: 1 };

async function collect(stream: AsyncGenerator<SampledToken, string>) {
  const tokens: SampledToken[] = [];
  for (;;) {
    const next = await stream.next();
    if (next.done) return { tokens, ids: tokens.map(({ id }) => id), reason: next.value };
    tokens.push(next.value);
  }
}

describe.each(backends)('tokens chosen ahead on $name', ({ create, slow, tolerance }) => {
  const CLOSE = tolerance.looser === 1 ? 5e-5 : tolerance.absolute;
  const whereFast = test.skipIf(slow);
  let backend: Backend;
  let model: PhiModel;
  let adapter: LoraAdapter;

  /** Whether blocks were decoded in one go. */
  const done: boolean[] = [];

  beforeAll(async () => {
    const { decoding, ...made } = await create();
    const block: Decoding['block'] = (args) => {
      done.push(decoding!.block(args));
      return done.at(-1)!;
    };
    backend = decoding ? { ...made, decoding: { ...decoding, block } } : made;
    model = await tinyModel(backend, { quantize: { doubleQuant: true } }, WIDE);
    adapter = tinyAdapter(model);
  }, PATIENT.timeout);

  afterAll(() => backend.dispose());

  const answer = async (options: GenerateOptions, withAdapter = true) => {
    const decoder = new Decoder(model, 64, withAdapter ? adapter : null);
    const result = await collect(generate(model, PROMPT, { ...options, decoder }));
    return { ...result, decoder };
  };

  // On a GPU in software the next test stands for it: its host's side decodes from logits.
  whereFast.each(ADAPTED)('cached decoding = the full forward, %s', async (_, withAdapter) => {
    const ids = [...PROMPT, 22, 3, 39, 2];
    const lengths = Int32Array.of(ids.length);
    const inputIds = Int32Array.from(ids);
    const used = withAdapter ? adapter : null;
    const full = await model.logits({ inputIds, lengths, batchSize: 1, length: ids.length }, [
      used,
    ]);
    const decoder = new Decoder(model, 64, used);
    await decoder.read(ids.slice(0, 2));
    for (let at = 2; at < ids.length; at++) {
      const wanted = full.subarray(at * 40, (at + 1) * 40);
      expect(difference(await decoder.read([ids[at]]), wanted).absolute).toBeLessThan(CLOSE);
    }
    decoder.dispose();
  });

  test('the same tokens as the host chooses, and the same cache', PATIENT, async () => {
    const options = { maxNewTokens: slow ? 5 : 23, repetitionPenalty: 1.2, limit: 38 };
    done.length = 0;
    const [ours, hosts] = [await answer(options), await answer({ ...options, ...BY_HOST })];
    expect(ours.ids).toEqual(hosts.ids);
    expect(ours.reason).toBe('length');
    // In one go, wherever the engine can do that.
    expect(done.includes(true)).toBe(backend.decoding !== undefined);
    expect(done.includes(false)).toBe(false);
    const logprobs = (tokens: readonly SampledToken[]) => tokens.map(({ logprob }) => logprob);
    expect(difference(logprobs(ours.tokens), logprobs(hosts.tokens)).absolute).toBeLessThan(CLOSE);
    expect(ours.decoder.length).toBe(hosts.decoder.length);
    const turn = [5, 30];
    const [next, wanted] = [await ours.decoder.read(turn), await hosts.decoder.read(turn)];
    expect(difference(next, wanted).absolute).toBeLessThan(CLOSE);
    for (const { decoder } of [ours, hosts]) decoder.dispose();
  });

  whereFast('what lies beyond the end was never read', async () => {
    const whole = await answer({ maxNewTokens: 30 }, false);
    for (const at of [1, 5, 9, 13]) {
      const stopIds = [whole.ids[at]];
      const first = whole.ids.indexOf(stopIds[0]);
      const stopped = await answer({ maxNewTokens: 30, stopIds }, false);
      const hosts = await answer({ maxNewTokens: 30, stopIds, ...BY_HOST }, false);
      expect(stopped.ids).toEqual(whole.ids.slice(0, first));
      expect([stopped.reason, hosts.reason]).toEqual(['stop', 'stop']);
      expect(stopped.decoder.length).toBe(hosts.decoder.length);
      const [next, wanted] = [await stopped.decoder.read([7]), await hosts.decoder.read([7])];
      expect(difference(next, wanted).absolute).toBeLessThan(CLOSE);
      for (const { decoder } of [stopped, hosts]) decoder.dispose();
    }
    expect(whole.decoder.length).toBe(PROMPT.length + 29);
    whole.decoder.dispose();
  });

  whereFast('a consumer that leaves, a signal, and the end of the context', async () => {
    const decoder = new Decoder(model, 64, null);
    const stream = generate(model, PROMPT, { decoder });
    for (let i = 0; i < 7; i++) await stream.next();
    await stream.return('aborted');
    expect(decoder.length).toBe(PROMPT.length + 6);
    decoder.dispose();
    const controller = new AbortController();
    const stopped = generate(model, PROMPT, { signal: controller.signal });
    for (let i = 0; i < 6; i++) await stopped.next();
    controller.abort();
    expect(await stopped.next()).toEqual({ done: true, value: 'aborted' });
    const full = await answer({ maxNewTokens: 500 }, false);
    expect([full.reason, full.decoder.length]).toEqual(['context', 64]);
    full.decoder.dispose();
  });

  whereFast('in a pool, alone and then no more alone', async () => {
    const alone = await answer({ maxNewTokens: 40, repetitionPenalty: 1.3 });
    const pool = new GenerationPool(model);
    const request = { adapter, maxNewTokens: 40, repetitionPenalty: 1.3 };
    const stream = pool.generate(PROMPT, request);
    const ids: number[] = [];
    for (let i = 0; i < 9; i++) ids.push(((await stream.next()).value as SampledToken).id);
    const others = collect(pool.generate([8, 2], { adapter: null, maxNewTokens: 3 }));
    ids.push(...(await collect(stream)).ids);
    expect(ids).toEqual(alone.ids);
    expect((await others).ids).toHaveLength(3);
    await pool.idle();
    alone.decoder.dispose();
  });

  whereFast('nothing stays behind', async () => {
    const run = async () => {
      const { decoder } = await answer({ maxNewTokens: 20, repetitionPenalty: 1.1 });
      decoder.dispose();
    };
    await run();
    const { live } = backend.memory();
    await run();
    expect(backend.memory().live).toBe(live);
  });
});
