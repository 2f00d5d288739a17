import type { Backend } from '@qlorajs/compute';
import { createWasmBackend } from '@qlorajs/compute-wasm';
import { createAdamW, createPager } from '@qlorajs/paged-optim';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { LabelledBatch, TrainOptions } from '../src/index.js';
import { tinyAdapter, tinyBatch, tinyModel, tinyTokens } from './tiny-model.js';

const OVERRIDES = { num_hidden_layers: 5, resid_pdrop: 0.2 };
const QUANTIZE = { doubleQuant: true };

/** How the pages of a run are set up. */
interface Offload {
  readonly blocks: boolean;
  readonly inputs: boolean;
  readonly budget?: number;
}

/** Two training steps; gives what training ends with, and what the pager did. */
async function train(backend: Backend, { blocks, inputs, budget }: Offload) {
  const pager = createPager(backend, { budget });
  const load = { quantize: QUANTIZE, ...(blocks ? { pager } : {}) };
  const model = await tinyModel(backend, load, OVERRIDES);
  const adapter = tinyAdapter(model, 0.3);
  model.attach(adapter);
  const optimizer = createAdamW(backend, adapter.parameters(), { pager });
  const losses: number[] = [];
  for (const dropoutSeed of [1, 2]) {
    optimizer.zeroGrad();
    const options = {
      normalizer: tinyTokens,
      dropoutSeed,
      ...(inputs ? { inputPager: pager } : {}),
    };
    losses.push((await model.forwardBackward(tinyBatch, options)).lossSum);
    await optimizer.step(1e-2);
  }
  const { lossSum } = await model.evaluate(tinyBatch);
  const values = await Promise.all(adapter.parameters().map(({ value }) => backend.read(value)));
  const end = { losses, lossSum, values, logits: await model.logits(tinyBatch) };
  const { stats } = pager;
  optimizer.dispose();
  model.dispose();
  adapter.dispose();
  pager.dispose();
  return { end, stats };
}

/** Bytes of one block in pages, and of one input. */
const BLOCK = 8000;
const INPUT = 2 * 7 * 32 * 4;

describe('offloading on wasm', () => {
  let backend: Backend;
  let plain: Awaited<ReturnType<typeof train>>;

  beforeAll(async () => {
    backend = await createWasmBackend({ threads: 2 });
    plain = await train(backend, { blocks: false, inputs: false });
  });
  afterAll(() => backend.dispose());

  test.each<[string, Offload]>([
    ['block inputs', { blocks: false, inputs: true, budget: 4 * INPUT }],
    ['frozen blocks, one at a time', { blocks: true, inputs: false, budget: 25 * 1024 }],
    ['frozen blocks, two at a time', { blocks: true, inputs: false, budget: 2 * 25 * 1024 }],
    ['everything', { blocks: true, inputs: true, budget: 25 * 1024 + 2 * INPUT }],
    ['nothing, since all fits', { blocks: true, inputs: true }],
  ])('%s: the same bits', async (_, offload) => {
    const { end, stats } = await train(backend, offload);
    expect(end).toEqual(plain.end);
    expect(stats.evictions > 0).toBe(offload.budget !== undefined);
    expect(backend.memory().live).toBe(0);
  });

  test('a limit of the engine is kept, by moving pages out; the same bits', async () => {
    const whole = await createWasmBackend({ threads: 2 });
    await train(whole, { blocks: false, inputs: false });
    const { peak } = whole.memory();
    await whole.dispose();
    // Less than the unlimited run takes by two blocks and more.
    const tensorLimit = peak - 2 * BLOCK - 3 * INPUT;
    const limited = await createWasmBackend({ threads: 2, tensorLimit });
    const { end, stats } = await train(limited, { blocks: true, inputs: true });
    expect(end).toEqual(plain.end);
    expect(limited.memory().peak).toBeLessThanOrEqual(tensorLimit);
    expect(stats.evictions).toBeGreaterThan(0);
    await limited.dispose();
    // What no moving can help is refused.
    const tiny = await createWasmBackend({ threads: 2, tensorLimit: 50_000 });
    await expect(train(tiny, { blocks: true, inputs: true })).rejects.toMatchObject({
      code: 'COMPUTE_OUT_OF_MEMORY',
    });
    await tiny.dispose();
  });

  test('after a shortage in mid-pass a smaller batch goes on', async () => {
    const model = await tinyModel(backend, { quantize: QUANTIZE }, OVERRIDES);
    model.attach(tinyAdapter(model));
    const batch = rowOf(tinyBatch, 0);
    const options = { normalizer: tinyTokens, dropoutSeed: null };
    const expected = await model.forwardBackward(batch, options);
    const limited = await createWasmBackend({ threads: 1, tensorLimit: backend.memory().live });
    const small = await tinyModel(limited, { quantize: QUANTIZE }, OVERRIDES);
    small.attach(tinyAdapter(small));
    await expect(small.forwardBackward(tinyBatch, options)).rejects.toMatchObject({
      code: 'COMPUTE_OUT_OF_MEMORY',
    });
    small.workspace.dispose();
    expect(await small.forwardBackward(batch, options)).toEqual(expected);
    await limited.dispose();
    model.dispose();
  });
});

function rowOf(batch: LabelledBatch, row: number): LabelledBatch {
  const part = (values: Int32Array) => values.slice(row * batch.length, (row + 1) * batch.length);
  return {
    batchSize: 1,
    length: batch.length,
    lengths: batch.lengths.slice(row, row + 1),
    inputIds: part(batch.inputIds),
    labels: part(batch.labels),
  };
}

test('rows of a batch, one at a time under its own dropout masks, give its gradients', async () => {
  const backend = await createWasmBackend({ threads: 2 });
  const model = await tinyModel(backend, { quantize: QUANTIZE }, OVERRIDES);
  const gradients = async (batches: readonly [LabelledBatch, Partial<TrainOptions>][]) => {
    const adapter = tinyAdapter(model, 0.3);
    model.attach(adapter);
    let lossSum = 0;
    for (const [batch, extra] of batches) {
      const options = { normalizer: tinyTokens, dropoutSeed: 9, ...extra };
      lossSum += (await model.forwardBackward(batch, options)).lossSum;
    }
    const values = await Promise.all(adapter.parameters().map(({ grad }) => backend.read(grad)));
    model.attach(null);
    adapter.dispose();
    return { lossSum, values };
  };
  const whole = await gradients([[tinyBatch, {}]]);
  const rows = await gradients([
    [rowOf(tinyBatch, 0), { firstToken: 0 }],
    [rowOf(tinyBatch, 1), { firstToken: tinyBatch.length }],
  ]);
  expect(rows.lossSum).toBeCloseTo(whole.lossSum, 4);
  for (const [i, values] of whole.values.entries()) {
    const largest = Math.max(...values.map(Math.abs));
    const off = Math.max(...values.map((value, k) => Math.abs(value - rows.values[i][k])));
    expect(off).toBeLessThanOrEqual(2e-6 * largest + 1e-9);
  }
  await backend.dispose();
});
