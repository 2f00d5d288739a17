import type { Backend } from '@qlorajs/compute';
import { createWasmBackend } from '@qlorajs/compute-wasm';
import type { Batch } from '@qlorajs/dataset';
import { createAdamW } from '@qlorajs/paged-optim';
import { train } from '@qlorajs/trainer';
import { expect, test } from 'vitest';
import {
  tinyAdapter,
  tinyBatch,
  tinyModel,
  tinyTokens,
} from '../../../phi2-model/test/tiny-model.js';
import { splitBatch } from './split-batch.js';
import { type TrainableParts, trainable } from './trainable.js';

const batch: Batch = { ...tinyBatch, trainedTokens: tinyTokens, lines: [[1], [2]] };

const repeat = (values: Int32Array, times: number) =>
  Int32Array.from({ length: values.length * times }, (_, i) => values[i % values.length]);
const EIGHT: Batch = {
  ...{ batchSize: 8, length: batch.length, trainedTokens: 4 * tinyTokens },
  inputIds: repeat(batch.inputIds, 4),
  labels: repeat(batch.labels, 4),
  lengths: repeat(batch.lengths, 4),
  lines: Array.from({ length: 8 }, (_, i) => [i]),
};

/** Two steps on eight rows, with dropout; gives losses, parameters and what the user was told. */
async function run(backend: Backend, autoFit: boolean, perDeviceTrainBatchSize = 8) {
  const overrides = { num_hidden_layers: 3, resid_pdrop: 0.2 };
  const model = await tinyModel(backend, { quantize: { doubleQuant: true } }, overrides);
  const adapter = tinyAdapter(model, 0.3);
  model.attach(adapter);
  const options = {
    gradientCheckpointing: true,
    neftuneNoiseAlpha: 0,
    autoFit,
    perDeviceTrainBatchSize,
  };
  const told: string[] = [];
  const ui = { warn: (text: string) => told.push(text) };
  const optimizer = createAdamW(backend, adapter.parameters());
  const job = { model, options, pagers: {}, optimizer } as unknown as TrainableParts;
  const trained = trainable(job, ui);
  backend.resetPeak();
  const loop = train({
    ...{ model: trained, mend: (error: unknown) => trained.mend(error) },
    optimizer,
    train: {
      ...{ batchesPerEpoch: 1, batches: () => [EIGHT] },
      ...{ trainedTokens: () => 4 * tinyTokens, tokens: () => 48 },
    },
    ...{ learningRate: 1e-2, schedule: 'constant', warmupSteps: 0, epochs: 2, seed: 7 },
    gradientAccumulationSteps: 1,
  });
  const losses: number[] = [];
  for (;;) {
    const next = await loop.next();
    if (next.done) break;
    if (next.value.type === 'step') losses.push(next.value.loss);
  }
  const values = await Promise.all(adapter.parameters().map(({ value }) => backend.read(value)));
  return { losses, values, told, peak: backend.memory().peak };
}

test('a step without room is taken again with half of the rows, to the same result', async () => {
  const free = await createWasmBackend({ threads: 2 });
  const whole = await run(free, false);
  await free.dispose();
  const one = await createWasmBackend({ threads: 2 });
  const apart = await run(one, false, 4);
  await one.dispose();
  expect(apart.peak).toBeLessThan(whole.peak);
  // Moments may leave the device: that alone must not be enough.
  const tensorLimit = apart.peak;
  const limited = await createWasmBackend({ threads: 2, tensorLimit });
  const mended = await run(limited, true);
  expect(mended.told).toEqual([expect.stringContaining('taken again with 4 rows at a time')]);
  expect(mended.peak).toBeLessThanOrEqual(tensorLimit);
  for (const [i, loss] of mended.losses.entries()) expect(loss).toBeCloseTo(whole.losses[i], 5);
  for (const [i, values] of mended.values.entries())
    for (const [k, value] of values.entries())
      expect(Math.abs(value - whole.values[i][k])).toBeLessThan(5e-5);
  await limited.dispose();
  const refusing = await createWasmBackend({ threads: 2, tensorLimit });
  await expect(run(refusing, false)).rejects.toMatchObject({ code: 'COMPUTE_OUT_OF_MEMORY' });
  await refusing.dispose();
});

test('parts hold every row once, with the labels that count', () => {
  const parts = splitBatch(batch, 1);
  expect(parts.map(({ firstToken }) => firstToken)).toEqual([0, 7]);
  expect(parts.flatMap(({ batch: part }) => [...part.inputIds])).toEqual([...batch.inputIds]);
  expect(parts.map(({ batch: part }) => part.lines)).toEqual([[[1]], [[2]]]);
  expect(splitBatch(batch, 2)).toEqual([{ batch, firstToken: 0 }]);
});
