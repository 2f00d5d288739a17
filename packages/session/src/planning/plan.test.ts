import { createCountingBackend } from '@qlorajs/compute';
import { createWasmBackend } from '@qlorajs/compute-wasm';
import { createAdapter, defaultLoraConfig } from '@qlorajs/lora';
import { createAdamW } from '@qlorajs/paged-optim';
import { loadPhi, parsePhiConfig, phiTensors, planPhi } from '@qlorajs/phi2-model';
import { memoryFolder, openCheckpoint, writeSafetensors } from '@qlorajs/safetensors';
import { describe, expect, test } from 'vitest';
import { withDefaults } from '../options/defaults.js';
import { trainingOptions } from '../options/training-options.js';
import {
  type BatchShape,
  batchOf,
  type DryRunArgs,
  dryRun,
  type MemoryOptions,
} from './dry-run.js';
import { type FitOptions, findFit } from './fit.js';
import { createPagers } from './pagers.js';
import { adviceOf, doesNotFit, type PlanArgs, planTraining } from './plan-training.js';

const config = parsePhiConfig({
  ...{ model_type: 'phi', vocab_size: 320, hidden_size: 64, intermediate_size: 256 },
  ...{ num_hidden_layers: 4, num_attention_heads: 4, max_position_embeddings: 128 },
});
const lora = defaultLoraConfig({ r: 8, targetModules: ['q_proj', 'v_proj'], loraDropout: 0.1 });
const train: BatchShape = { batchSize: 2, length: 48, trainedTokens: 70, packed: false };
const OPTIONS: MemoryOptions = {
  ...{ optim: 'adamw', gradientCheckpointing: true, baseOffload: false, vramBudget: undefined },
  ...{ loadIn4bit: true, bnb4bitUseDoubleQuant: true, loraDropout: 0.1 },
  gradientAccumulationSteps: 1,
};
const argsFor = (options: Partial<MemoryOptions> = {}): DryRunArgs => ({
  ...{ engine: { name: 'wasm' }, config, lora, train, evaluation: null },
  options: { ...OPTIONS, ...options },
});

async function checkpoint() {
  const tensors = [...phiTensors(config)].map(([name, shape]) => {
    const data = new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(0.01);
    return [name, { dtype: 'F32', shape, data }] as const;
  });
  const bytes = writeSafetensors(Object.fromEntries(tensors), { format: 'pt' });
  return openCheckpoint(memoryFolder([['model.safetensors', bytes]], 'base'));
}

/** The peak of a real step on the CPU engine. */
async function measured(options: MemoryOptions): Promise<number> {
  const backend = await createWasmBackend({ threads: 1, tensorLimit: options.vramBudget });
  const pagers = createPagers(backend, options);
  const quantize = options.loadIn4bit ? { doubleQuant: options.bnb4bitUseDoubleQuant } : null;
  const model = await loadPhi(backend, config, await checkpoint(), {
    quantize,
    pager: pagers.blocks,
  });
  const adapter = createAdapter(backend, lora, model.modules, { seed: 1 });
  model.attach(adapter);
  const moments = options.optim === 'paged_adamw_8bit' ? '8bit' : '32bit';
  const optimizer = createAdamW(backend, adapter.parameters(), { moments, pager: pagers.states });
  await model.forwardBackward(batchOf(train), {
    ...{ normalizer: 70, dropoutSeed: 1, inputPager: pagers.inputs },
    readback: optimizer.readback,
    gradientCheckpointing: options.gradientCheckpointing !== false,
  });
  await optimizer.step(1e-3);
  const { peak } = backend.memory();
  await backend.dispose();
  return peak;
}

describe('a dry run', () => {
  test('plans the very tensors that loading makes', async () => {
    for (const quantize of [null, { doubleQuant: false }, { doubleQuant: true }]) {
      const [real, dry] = [createCountingBackend(), createCountingBackend()];
      const tensorsOf = (backend: typeof real) => Object.fromEntries(backend.counts().peakParts);
      planPhi(dry, config, { quantize, halfTables: false });
      dry.resetPeak();
      await loadPhi(real, config, await checkpoint(), { quantize });
      real.resetPeak();
      expect(tensorsOf(dry)).toEqual(tensorsOf(real));
    }
  });

  test.each<[string, Partial<MemoryOptions>]>([
    ['as it is', {}],
    ['without checkpointing', { gradientCheckpointing: false }],
    ['with 8-bit moments', { optim: 'paged_adamw_8bit' }],
    ['with plain scales', { bnb4bitUseDoubleQuant: false }],
    ['in f32', { loadIn4bit: false }],
    ['with inputs offloaded', { gradientCheckpointing: 'offload' }],
    ['with blocks offloaded', { baseOffload: true }],
  ])('tells the peak of a real step to the byte: %s', async (_, options) => {
    const { fits, peakBytes, parts } = await dryRun(argsFor(options));
    expect(fits).toBe(true);
    expect(peakBytes).toBe(await measured({ ...OPTIONS, ...options }));
    expect(Object.values(parts).reduce((sum, bytes) => sum + bytes)).toBe(peakBytes);
  });

  test('a budget decides: what the plan says fits does, and what it does not is refused', async () => {
    const { peakBytes: whole } = await dryRun(argsFor());
    const all = {
      optim: 'paged_adamw_32bit',
      gradientCheckpointing: 'offload',
      baseOffload: true,
    } as const;
    for (const share of [0.9, 0.7, 0.5, 0.3]) {
      const vramBudget = Math.round(whole * share);
      const { fits, peakBytes } = await dryRun(argsFor({ ...all, vramBudget }));
      const real = await measured({ ...OPTIONS, ...all, vramBudget }).catch(
        (error: { code: string }) => error.code,
      );
      if (fits) {
        expect(peakBytes).toBeLessThanOrEqual(vramBudget);
        expect(real).toBeLessThanOrEqual(vramBudget);
      } else expect(real).toBe('COMPUTE_OUT_OF_MEMORY');
    }
  });

  test('on a GPU the scratch of its operations is a part, and tables are halves', async () => {
    const gpu = await dryRun({ ...argsFor(), engine: { name: 'webgpu', tier: 'matrix' } });
    const cpu = await dryRun(argsFor());
    expect(gpu.parts.scratch).toBeGreaterThan(0);
    expect(gpu.parts.embedding).toBe(cpu.parts.embedding! / 2);
  });
});

describe('the memory that there is', () => {
  const planned = async (backend: PlanArgs['backend'], more: Partial<PlanArgs> = {}) =>
    planTraining({
      options: withDefaults(trainingOptions, { base: 'x', data: '', out: '', maxSeqLength: 48 }),
      ...{ config, lora, backend, data: null, length: 48, ...more },
    });

  test('nobody tells: the budget is null, and what to give is said', async () => {
    for (const name of ['webgpu', 'gpujs']) {
      const plan = await planned({ name, info: {} });
      expect(plan).toMatchObject({ budgetBytes: null, changes: [] });
      expect(plan.peakBytes).toBeGreaterThan(0);
      expect(adviceOf(plan)).toEqual([expect.stringContaining('--vram-budget 6GB')]);
    }
  });

  test('the GPU or the machine tells: that, and for the CPU engine its own limit if it is less', async () => {
    const gpu = await planned({ name: 'webgpu', info: {} }, { deviceMemory: 6e9 });
    expect(gpu).toMatchObject({ budgetBytes: 6e9, fits: true });
    expect(adviceOf(gpu)).toEqual([]);
    const info = { memoryLimit: 2 ** 32 };
    const budgetOf = async (deviceMemory?: number) =>
      (await planned({ name: 'wasm', info }, { deviceMemory })).budgetBytes;
    expect(await budgetOf(16e9)).toBe(2 ** 32);
    expect(await budgetOf(2e9)).toBe(2e9);
    expect(await budgetOf()).toBe(2 ** 32);
    const small = await planned({ name: 'wasm', info }, { deviceMemory: 5e5 });
    expect(small.fits).toBe(false);
    const options = withDefaults(trainingOptions, { vramBudget: 1e9 });
    const given = await planned({ name: 'wasm', info }, { deviceMemory: 5e5, options });
    expect(given).toMatchObject({ budgetBytes: 1e9, fits: true });
  });
});

describe('the cheapest change that fits', () => {
  const asked: FitOptions = {
    ...{ perDeviceTrainBatchSize: 2, gradientAccumulationSteps: 1, gradientCheckpointing: true },
    ...{ optim: 'adamw', baseOffload: false },
  };
  const fitIn = async (share: number) => {
    const { peakBytes } = await dryRun(argsFor());
    return findFit(asked, argsFor({ vramBudget: Math.round(peakBytes * share) }));
  };

  test('is a smaller micro-batch, with the same rows a step', async () => {
    const fit = await fitIn(0.9);
    expect(fit?.changes.map(({ options }) => options)).toEqual([
      { perDeviceTrainBatchSize: 1, gradientAccumulationSteps: 2 },
    ]);
    expect(fit?.changes[0]?.text).toMatch(/--per-device-train-batch-size 1 --gradient-acc/);
  });

  test('is several where one is not enough, and none where nothing helps', async () => {
    const counts = [0.8, 0.75, 0.7, 0.65, 0.6].map(async (share) => (await fitIn(share))?.changes);
    const found = (await Promise.all(counts)).map((changes) => changes?.length ?? 0);
    expect(Math.max(...found)).toBeGreaterThan(1);
    expect(await fitIn(0.05)).toBeNull();
  });

  test("is looked for under the engine's own limit when no budget is given", async () => {
    const options = withDefaults(trainingOptions, {
      ...{ base: 'any', data: 'any', out: 'any', perDeviceTrainBatchSize: 2 },
    });
    const planIn = (memoryLimit: number) =>
      planTraining({
        ...{ options, config, lora, data: null, length: 48 },
        backend: { name: 'wasm', info: { memoryLimit } },
      });
    const { peakBytes } = await planIn(2 ** 32);
    const changed = await planIn(Math.round(0.9 * peakBytes));
    expect(changed.changes.map((each) => each.options)).toEqual([
      { perDeviceTrainBatchSize: 1, gradientAccumulationSteps: 2 },
    ]);
    const hopeless = await planIn(Math.round(0.05 * peakBytes));
    expect(hopeless).toMatchObject({ fits: false, changes: [] });
    expect(doesNotFit(hopeless).message).toMatch(/--max-seq-length or --r, .*nothing else/);
  });
});
