import { createWebGpuBackend } from '@qlorajs/compute-webgpu';
import type { Batch } from '@qlorajs/dataset';
import { createAdamW } from '@qlorajs/paged-optim';
import { train } from '@qlorajs/trainer';
import { beforeAll, describe, expect, test } from 'vitest';
import { scarceGpu } from '../../../tools/test/scarce-gpu.js';
import { findGpu } from '../../compute-webgpu/test/find-gpu.js';
import { tinyAdapter, tinyBatch, tinyModel, tinyTokens } from '../../phi2-model/test/tiny-model.js';
import { type TrainableParts, trainable } from '../src/training/trainable.js';

const { gpu, reason } = await findGpu();
const batch: Batch = { ...tinyBatch, trainedTokens: tinyTokens, lines: [[1], [2]] };

/** Three steps on two rows; memory for what comes after the first step is `room` bytes. */
async function run(room: number, late: boolean, autoFit: boolean) {
  const scarcity = { bytes: Number.POSITIVE_INFINITY, late };
  const used = { bytes: 0 };
  const backend = await createWebGpuBackend({ gpu: scarceGpu(gpu!, scarcity, used), tier: 'f32' });
  try {
    const model = await tinyModel(backend, { quantize: { doubleQuant: true } }, OVERRIDES);
    const adapter = tinyAdapter(model, 0.3);
    model.attach(adapter);
    const optimizer = createAdamW(backend, adapter.parameters());
    await backend.sync();
    const before = used.bytes;
    scarcity.bytes = before + room;
    const read = () => Promise.all(adapter.parameters().map(({ value }) => backend.read(value)));
    const start = await read();
    const told: string[] = [];
    const options = {
      ...{ gradientCheckpointing: true, neftuneNoiseAlpha: 0 },
      ...{ autoFit, perDeviceTrainBatchSize: 2 },
    };
    const parts = { model, options, pagers: {}, optimizer } as unknown as TrainableParts;
    const trained = trainable(parts, { warn: (text) => told.push(text) });
    const loop = train({
      ...{ model: trained, mend: (error: unknown) => trained.mend(error) },
      optimizer: trained.stepping(optimizer),
      train: {
        ...{ batchesPerEpoch: 1, batches: () => [batch] },
        ...{ trainedTokens: () => tinyTokens, tokens: () => 12 },
      },
      ...{ learningRate: 1e-2, schedule: 'constant', warmupSteps: 0, epochs: 2, seed: 7 },
      gradientAccumulationSteps: 1,
    });
    const losses: number[] = [];
    let error: unknown = null;
    try {
      for (let next = await loop.next(); !next.done; next = await loop.next())
        if (next.value.type === 'step') losses.push(next.value.loss);
    } catch (thrown) {
      error = thrown;
    }
    return { losses, start, values: await read(), told, error, most: used.bytes - before };
  } finally {
    await backend.dispose();
  }
}

const OVERRIDES = { num_hidden_layers: 1, resid_pdrop: 0.2 };

describe.skipIf(!gpu)(`training without memory${reason ? `: skipped, ${reason}` : ''}`, () => {
  let whole: Awaited<ReturnType<typeof run>>;
  beforeAll(async () => {
    whole = await run(Number.POSITIVE_INFINITY, false, false);
  }, 120_000);

  test.each([
    ['Dawn in Node, which tells at once', false],
    ['a browser, which tells later', true],
  ])(
    '--auto-fit on %s: half of the rows, the same result',
    { timeout: 240_000 },
    async (_, late) => {
      const { losses, values, told, error } = await run(0.7 * whole.most, late, true);
      expect(error).toBeNull();
      expect(told).toEqual([expect.stringContaining('taken again with 1 row at a time')]);
      expect(losses).toHaveLength(2);
      losses.forEach((loss, i) => {
        expect(loss).toBeCloseTo(whole.losses[i], 5);
      });
      values.forEach((each, i) => {
        each.forEach((value, k) => {
          expect(Math.abs(value - whole.values[i][k])).toBeLessThan(5e-5);
        });
      });
    },
  );

  test('without --auto-fit: one clear error, and the adapter is as it was', async () => {
    const short = await run(0.7 * whole.most, true, false);
    expect(short.error).toMatchObject({
      code: 'COMPUTE_OUT_OF_MEMORY',
      message: expect.stringMatching(/^no room for \S+ of \d+ bytes.*MEMORY.*use a smaller batch/),
    });
    expect(short.losses).toEqual([]);
    expect(short.values).toEqual(short.start);
    expect(whole.values).not.toEqual(whole.start);
  }, 240_000);
});
