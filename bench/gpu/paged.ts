/**
 * Phi-2's shape, r 16, one row of 2,048 tokens, under smaller and smaller budgets: peak, predicted
 * peak, tokens a second, what moved, and the slowdown against no budget. One JSON line a budget.
 *
 *     node paged.js [GIB,GIB,…]       QLORA_BACKEND=wasm LAYERS=2 LENGTH=64 for a machine without a GPU
 *
 * Weights are random numbers made on the spot: speed and memory do not depend on them. Each budget
 * runs with the cheapest changes that fit, as `qlora train --auto-fit` would choose them.
 */
import type { Backend } from '@qlorajs/compute';
import { createAdapter, defaultLoraConfig } from '@qlorajs/lora';
import { createAdamW } from '@qlorajs/paged-optim';
import { type LabelledBatch, parsePhiConfig, planPhi } from '@qlorajs/phi2-model';
import {
  type BatchShape,
  createPagers,
  type DryRunArgs,
  dryRun,
  type FitOptions,
  findFit,
  type MemoryOptions,
  type PlannedEngine,
} from '@qlorajs/session';
import { createWasmBackend } from '../../packages/compute-wasm/src/index.js';
import { createWebGpuBackend } from '../../packages/compute-webgpu/src/index.js';
import { openGpu } from './open-gpu.js';
import { withRandomWeights } from './random-weights.js';

const GIB = 2 ** 30;
const { env } = process;
const budgets = (process.argv[2] ?? '6,4,3,2').split(',').map(Number);
const [length, layers] = [Number(env.LENGTH ?? 2048), Number(env.LAYERS ?? 32)];
const [WARM, STEPS] = [Number(env.WARM ?? 2), Number(env.STEPS ?? 4)];
const config = parsePhiConfig({
  ...{ model_type: 'phi', vocab_size: 51200, hidden_size: 2560, intermediate_size: 10240 },
  ...{ num_hidden_layers: layers, num_attention_heads: 32, partial_rotary_factor: 0.4 },
});
const lora = defaultLoraConfig({
  ...{ r: 16, loraAlpha: 32, loraDropout: 0 },
  targetModules: ['q_proj', 'k_proj', 'v_proj', 'dense'],
});
const inputIds = Int32Array.from({ length }, (_, i) => (i * 7919) % 50000);
const batch: LabelledBatch = {
  ...{ inputIds, labels: inputIds, batchSize: 1, length },
  lengths: Int32Array.of(length),
};
const shape: BatchShape = { batchSize: 1, length, trainedTokens: length - 1, packed: false };
const gpu = env.QLORA_BACKEND === 'wasm' ? null : openGpu();
// A collected instance ends the process.
Object.assign(globalThis, { qlorajsGpu: gpu });

const openBackend = (memoryLimit?: number): Promise<Backend> =>
  gpu ? createWebGpuBackend({ gpu, memoryLimit }) : createWasmBackend({ tensorLimit: memoryLimit });

const BASE: MemoryOptions = {
  ...{ optim: 'paged_adamw_8bit', gradientCheckpointing: true, baseOffload: false },
  ...{ vramBudget: undefined, loadIn4bit: true, bnb4bitUseDoubleQuant: true, loraDropout: 0 },
  gradientAccumulationSteps: 1,
};

/** The options for a budget, and what they are predicted to take. */
async function plan(engine: PlannedEngine, vramBudget: number | undefined) {
  const args: DryRunArgs = {
    ...{ engine, config, lora, train: shape, evaluation: null },
    options: { ...BASE, vramBudget },
  };
  const asIs = await dryRun(args);
  if (asIs.fits) return { options: args.options, result: asIs, changes: [] as string[] };
  const asked: FitOptions = {
    ...{ perDeviceTrainBatchSize: 1, gradientAccumulationSteps: 1 },
    ...{ gradientCheckpointing: true, optim: 'paged_adamw_8bit', baseOffload: false },
  };
  const fit = await findFit(asked, args);
  if (!fit) return null;
  const options: MemoryOptions = Object.assign(
    {},
    args.options,
    ...fit.changes.map((change) => change.options),
  );
  return {
    options,
    result: fit.result,
    changes: fit.changes.map(({ text }) => text.split(':')[0]),
  };
}

async function measure(gib: number | null): Promise<Record<string, unknown>> {
  const vramBudget = gib === null ? undefined : gib * GIB;
  const backend = await openBackend(vramBudget);
  const { tier, maxBindingBytes, adapter: device } = backend.info;
  const engine = { name: backend.name, tier, maxBinding: maxBindingBytes } as PlannedEngine;
  const planned = await plan(engine, vramBudget);
  const facts = { budget_gib: gib, backend: backend.name, device, tier, layers, length };
  if (!planned) return { ...facts, fits: false };
  const { options, result, changes } = planned;
  const pagers = createPagers(backend, options);
  const quantize = { doubleQuant: true };
  const halfTables = backend.name === 'webgpu';
  const model = planPhi(withRandomWeights(backend), config, {
    quantize,
    halfTables,
    pager: pagers.blocks,
  });
  const adapter = createAdapter(backend, lora, model.modules, { seed: 1 });
  model.attach(adapter);
  const optimizer = createAdamW(backend, adapter.parameters(), {
    ...{ moments: '8bit', pager: pagers.states, maxGradNorm: 1 },
  });
  const seconds: number[] = [];
  const losses: number[] = [];
  const pager = pagers.blocks ?? pagers.inputs ?? pagers.states;
  let moved = { in: 0, out: 0 };
  for (let step = 0; step < WARM + STEPS; step++) {
    const before = pager?.stats;
    const start = performance.now();
    optimizer.zeroGrad();
    const { lossSum } = await model.forwardBackward(batch, {
      ...{ normalizer: length - 1, dropoutSeed: null, inputPager: pagers.inputs },
      readback: optimizer.readback,
      gradientCheckpointing: options.gradientCheckpointing !== false,
    });
    await optimizer.step(1e-4);
    await backend.sync();
    if (step >= WARM) seconds.push((performance.now() - start) / 1000);
    losses.push((await lossSum) / (length - 1));
    const { bytesIn = 0, bytesOut = 0 } = pager?.stats ?? {};
    moved = { in: bytesIn - (before?.bytesIn ?? 0), out: bytesOut - (before?.bytesOut ?? 0) };
  }
  const { peak } = backend.memory();
  const median = [...seconds].sort((a, b) => a - b)[Math.floor(seconds.length / 2)];
  await backend.dispose();
  return {
    ...facts,
    ...{ fits: true, changes, peak_bytes: peak, predicted_bytes: result.peakBytes },
    prediction_error_percent: (100 * (result.peakBytes - peak)) / peak,
    seconds_per_step: median,
    tokens_per_second: length / median,
    moved_in_bytes: moved.in,
    moved_out_bytes: moved.out,
    losses,
  };
}

let fastest = 0;
for (const gib of [null, ...budgets]) {
  const figures = await measure(gib).catch((error: Error) => ({
    budget_gib: gib,
    error: error.message,
  }));
  const speed = Number((figures as Record<string, unknown>).tokens_per_second);
  fastest ||= speed;
  const slowdown = speed ? 100 * (fastest / speed - 1) : null;
  console.log(JSON.stringify({ ...figures, slowdown_percent: slowdown }));
}
