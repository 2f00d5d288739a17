import type { Backend } from '@qlorajs/compute';
import type { LoraAdapter } from '@qlorajs/lora';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Decoder, GenerationPool, generate, type PhiModel } from '../src/index.js';
import { backends, PATIENT } from './backends.js';
import { difference } from './fixtures.js';
import { tinyAdapter, tinyBatch, tinyModel } from './tiny-model.js';

describe.each(backends)(
  'rows with adapters of their own on $name',
  ({ create, slow, tolerance }) => {
    const CLOSE = tolerance.looser === 1 ? 2e-5 : tolerance.absolute;
    // On a GPU in software one test stands for all.
    const whereFast = test.skipIf(slow);

    let backend: Backend;
    let model: PhiModel;
    let one: LoraAdapter;
    let other: LoraAdapter;

    beforeAll(async () => {
      backend = await create();
      model = await tinyModel(backend, { quantize: { doubleQuant: true } });
      one = tinyAdapter(model);
      other = tinyAdapter(model);
      for (const { value } of other.parameters()) {
        const values = await backend.read(value);
        backend.write(
          value,
          values.map((each) => -1.5 * each),
        );
      }
    });

    afterAll(() => backend.dispose());

    const alone = async (adapter: LoraAdapter | null, row: number): Promise<Float32Array> => {
      model.attach(adapter);
      const logits = await model.logits(tinyBatch);
      model.attach(null);
      return logits.subarray(row * 7 * 40, (row + 1) * 7 * 40);
    };

    whereFast('a batch: every row as with its adapter alone, token rows included', async () => {
      for (const adapters of [
        [one, other],
        [other, null],
        [null, one],
        [one, one],
      ]) {
        const mixed = await model.logits(tinyBatch, adapters);
        for (const [row, adapter] of adapters.entries())
          expect(
            difference(mixed.subarray(row * 7 * 40, (row + 1) * 7 * 40), await alone(adapter, row))
              .absolute,
          ).toBeLessThan(CLOSE);
      }
      expect(
        difference(await alone(one, 0), await alone(other, 0)).absolute,
        'the adapters differ',
      ).toBeGreaterThan(0.05);
    });

    test('decoders at other positions with other adapters step together', PATIENT, async () => {
      const prompts = [[1, 3, 9], [17, 22], [3, 39, 17, 5, 8], [2]];
      const adapters = [one, other, null, one];
      const make = async () => {
        const decoders = adapters.map((adapter) => new Decoder(model, 16, adapter));
        for (const [i, decoder] of decoders.entries()) await decoder.read(prompts[i]);
        return decoders;
      };
      const [together, apart] = [await make(), await make()];
      for (const ids of [
        [3, 17, 5, 39],
        [9, 9, 3, 1],
      ]) {
        const logits = await Decoder.step(together, ids);
        for (const [i, decoder] of apart.entries())
          expect(difference(logits[i], await decoder.read([ids[i]])).absolute).toBeLessThan(CLOSE);
      }
      for (const decoder of [...together, ...apart]) decoder.dispose();
    });

    whereFast(
      'a pool gives each request what it gets alone, whatever joins and leaves',
      async () => {
        const requests = Array.from({ length: 9 }, (_, i) => ({
          ids: [1 + i, 3, 17, 5 + i, 9].slice(0, 1 + (i % 5)),
          adapter: [one, other, null][i % 3],
          maxNewTokens: 2 + ((i * 5) % 11),
          stopIds: [i % 2 === 0 ? 12 : 13],
          temperature: i % 2 === 0 ? 0 : 0.8,
          seed: i,
        }));
        const collect = async (stream: ReturnType<typeof generate>) => {
          const ids: number[] = [];
          for (;;) {
            const next = await stream.next();
            if (next.done) return { ids, reason: next.value };
            ids.push(next.value.id);
          }
        };
        const before = backend.memory().live;
        const pool = new GenerationPool(model, { maxRows: 4, prefillChunk: 2 });
        const pooled = await Promise.all(
          requests.map(({ ids, ...request }) => collect(pool.generate(ids, request))),
        );
        await pool.idle();
        for (const [i, { ids, adapter, ...request }] of requests.entries()) {
          const decoder = new Decoder(model, 32, adapter);
          expect(pooled[i], `request ${i}`).toEqual(
            await collect(generate(model, ids, { ...request, decoder })),
          );
          decoder.dispose();
        }
        expect(pool.load).toEqual({ running: 0, waiting: 0, cacheBytes: 0 });
        model.release(one);
        model.release(other);
        expect(backend.memory().live).toBeLessThan(before + 200_000); // the workspace may have grown
      },
    );

    whereFast(
      'whoever stops listening frees the row, and failures reach their own request',
      async () => {
        const pool = new GenerationPool(model, { maxRows: 2 });
        const stream = pool.generate([1, 2], { adapter: null, maxNewTokens: 20 });
        await stream.next();
        expect(pool.load.running).toBe(1);
        await stream.return('aborted');
        await pool.idle();
        expect(pool.load).toEqual({ running: 0, waiting: 0, cacheBytes: 0 });
        const tooLong = pool.generate(new Array(40).fill(1), { adapter: null });
        const fine = pool.generate([1, 2], { adapter: null, maxNewTokens: 1 });
        await expect(tooLong.next()).rejects.toThrowError(/40 tokens do not fit/);
        expect((await fine.next()).done).toBe(false);
        await pool.idle();
      },
    );

    whereFast('gradients of one adapter do not see that another one answered before', async () => {
      const fresh = tinyAdapter(model);
      model.attach(fresh);
      const options = { normalizer: 8, dropoutSeed: null };
      await model.forwardBackward(tinyBatch, options);
      const wanted = await Promise.all(fresh.parameters().map(({ grad }) => backend.read(grad)));
      const decoder = new Decoder(model, 8, other);
      await decoder.read([3, 17]);
      for (const { grad } of fresh.parameters()) backend.ops.fill({ out: grad, value: 0 });
      await model.forwardBackward(tinyBatch, options);
      for (const [i, { grad }] of fresh.parameters().entries())
        expect(await backend.read(grad)).toEqual(wanted[i]);
      decoder.dispose();
      model.attach(null);
      model.release(other);
      fresh.dispose();
    });
  },
);
