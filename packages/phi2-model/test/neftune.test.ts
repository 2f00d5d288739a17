import { createReferenceBackend } from '@qlorajs/compute';
import { expect, test } from 'vitest';
import { addNeftuneNoise } from '../src/neftune.js';
import type { Pass } from '../src/pass.js';
import { tinyAdapter, tinyBatch, tinyModel, tinyTokens } from './tiny-model.js';

test('noise is uniform within alpha / sqrt(T C), as in transformers, and none without a seed', async () => {
  const backend = createReferenceBackend();
  const model = await tinyModel(backend);
  const [batch, length, width] = [8, 50, model.config.hiddenSize];
  const noise = async (alpha: number, dropoutSeed: number | null) => {
    const embedded = backend.empty('f32', [batch * length, width]);
    const { config, workspace } = model;
    const pass = { backend, config, workspace, batch, length, firstToken: 0, dropoutSeed };
    addNeftuneNoise(pass as unknown as Pass, embedded, alpha);
    return backend.read(embedded);
  };
  const bound = 5 / Math.sqrt(length * width);
  const values = await noise(5, 11);
  expect(Math.max(...values)).toBeLessThanOrEqual(bound);
  expect(Math.max(...values)).toBeGreaterThan(0.99 * bound);
  expect(Math.min(...values)).toBeLessThan(-0.99 * bound);
  const mean = values.reduce((sum, each) => sum + each, 0) / values.length;
  const variance = values.reduce((sum, each) => sum + each * each, 0) / values.length;
  expect(Math.abs(mean)).toBeLessThan(0.02 * bound);
  expect(variance).toBeCloseTo(bound ** 2 / 3, 4);
  expect(await noise(5, 11)).toEqual(values);
  expect(await noise(5, 12)).not.toEqual(values);
  for (const nothing of [await noise(0, 11), await noise(5, null)])
    expect(nothing.every((each) => each === 0)).toBe(true);
});

test('a step with noise is the same with and without gradient checkpointing, and alpha 0 is no noise', async () => {
  const backend = createReferenceBackend();
  const model = await tinyModel(backend);
  const adapter = tinyAdapter(model);
  model.attach(adapter);
  const step = async (neftuneNoiseAlpha: number | undefined, gradientCheckpointing: boolean) => {
    for (const { grad } of adapter.parameters()) backend.ops.fill({ out: grad, value: 0 });
    const options = { normalizer: tinyTokens, dropoutSeed: 5, gradientCheckpointing };
    const { lossSum } = await model.forwardBackward(tinyBatch, { ...options, neftuneNoiseAlpha });
    const gradients: Float32Array[] = [];
    for (const { grad } of adapter.parameters()) gradients.push(await backend.read(grad));
    return { lossSum, gradients };
  };
  const noisy = await step(10, true);
  expect(await step(10, false)).toEqual(noisy);
  const quiet = await step(0, true);
  expect(await step(undefined, true)).toEqual(quiet);
  expect(noisy.lossSum).not.toBe(quiet.lossSum);
});
