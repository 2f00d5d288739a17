import type { Backend } from '@qlorajs/compute';
import { createReferenceBackend } from '@qlorajs/compute';
import { createWasmBackend } from '@qlorajs/compute-wasm';
import { GPU } from 'gpu.js';
import { expect, test, vi } from 'vitest';
import { createAdamW } from '../../paged-optim/src/index.js';
import { tinyAdapter, tinyBatch, tinyModel, tinyTokens } from '../../phi2-model/test/tiny-model.js';
import { type TrainableParts, trainable } from '../../session/src/training/trainable.js';
import { train } from '../../trainer/src/index.js';
import { createGpuJsBackend } from '../src/index.js';

const BATCH = { ...tinyBatch, trainedTokens: tinyTokens, lines: [[1], [2]] };
const BACKENDS: Record<string, () => Promise<Backend>> = {
  reference: async () => createReferenceBackend(),
  wasm: () => createWasmBackend({ threads: 1 }),
  'gpujs, mode cpu': () => createGpuJsBackend({ GPU, mode: 'cpu' }),
};

/** Losses, norms and the reads of each step, with as many micro-batches a step. */
async function run(backend: Backend, gradientAccumulationSteps: number) {
  const model = await tinyModel(backend, { quantize: { doubleQuant: true } });
  const adapter = tinyAdapter(model);
  model.attach(adapter);
  const optimizer = createAdamW(backend, adapter.parameters());
  const options = { gradientCheckpointing: true, neftuneNoiseAlpha: 0, autoFit: false };
  const parts = {
    ...{ model, pagers: {}, optimizer },
    options: { ...options, perDeviceTrainBatchSize: 2 },
  } as unknown as TrainableParts;
  const batches = Array.from({ length: 3 * gradientAccumulationSteps }, () => BATCH);
  const loop = train({
    ...{ model: trainable(parts, { warn() {} }), optimizer },
    train: {
      ...{ batchesPerEpoch: batches.length, batches: () => batches },
      ...{ trainedTokens: () => tinyTokens, tokens: () => 2 * BATCH.length },
    },
    ...{ learningRate: 1e-2, schedule: 'constant', warmupSteps: 0, epochs: 1, seed: 7 },
    gradientAccumulationSteps,
  });
  const read = vi.spyOn(backend, 'read');
  const steps: { loss: number; gradNorm: number; reads: number }[] = [];
  for await (const event of loop) {
    if (event.type !== 'step') continue;
    const { loss, gradNorm } = event;
    steps.push({ loss, gradNorm, reads: read.mock.calls.length });
    read.mockClear();
  }
  await backend.dispose();
  return steps;
}

test.each(Object.keys(BACKENDS))('a step on %s reads back once', async (name) => {
  const create = BACKENDS[name]!;
  const one = await run(await create(), 1);
  expect(one.map(({ reads }) => reads)).toEqual([1, 1, 1]);
  const two = await run(await create(), 2);
  expect(two.map(({ reads }) => reads)).toEqual([1, 1, 1]);
  for (const [i, { loss, gradNorm }] of two.entries()) {
    expect(loss).toBeCloseTo(one[i]!.loss, 4);
    expect(gradNorm).toBeCloseTo(one[i]!.gradNorm, 4);
  }
});
