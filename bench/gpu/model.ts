/**
 * Phi-2's shape, trained and decoded by the GPU engine; the figures that `peer.py` measures too.
 *
 *     node model.js DIR CONFIGS [profile]      CONFIGS like 1x512,4x512; `none` decodes alone
 *
 * Reads DIR/nf4 (a 4-bit checkpoint) or else DIR/base, and writes DIR/ours.json. With `random` for DIR
 * the weights are made on the spot, and nothing is written.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { byteLengthOf } from '@qlorajs/compute';
import {
  createAdapter,
  defaultLoraConfig,
  type LoraAdapter,
  loadAdapter,
  readPeftAdapter,
} from '@qlorajs/lora';
import { createAdamW } from '@qlorajs/paged-optim';
import {
  type LabelledBatch,
  loadPhi,
  type PhiModel,
  parsePhiConfig,
  planPhi,
} from '@qlorajs/phi2-model';
import { openCheckpoint } from '@qlorajs/safetensors';
import {
  createWebGpuBackend,
  type PlannedProgram,
} from '../../packages/compute-webgpu/src/index.js';
import {
  dryRun,
  type MemoryOptions,
  type PlannedEngine,
} from '../../packages/session/src/planning/dry-run.js';
import { diskFolder } from '../disk-folder.js';
import { Busy } from './busy.js';
import { logTimes, measureDecoding } from './decoding.js';
import { openGpu } from './open-gpu.js';
import { withRandomWeights } from './random-weights.js';

const [folder, configList, mode] = process.argv.slice(2);
const [WARM, STEPS] = [3, 8];
const DRY_OPTIONS: MemoryOptions = {
  ...{
    optim: 'adamw_torch',
    gradientCheckpointing: true,
    baseOffload: false,
    vramBudget: undefined,
  },
  ...{ loadIn4bit: true, bnb4bitUseDoubleQuant: true, loraDropout: 0 },
};
const PHI_2 = {
  ...{ model_type: 'phi', vocab_size: 51200, hidden_size: 2560, intermediate_size: 10240 },
  ...{ num_hidden_layers: 32, num_attention_heads: 32, partial_rotary_factor: 0.4 },
};
const started = performance.now();
const log = (text: string) =>
  console.log(`${((performance.now() - started) / 1000).toFixed(1)} s  ${text}`);

function deviceMib(): number {
  const query = ['--query-gpu=memory.used', '--format=csv,noheader,nounits'];
  try {
    return Number(execFileSync('nvidia-smi', query).toString().split('\n')[0]);
  } catch {
    return Number.NaN; // no NVIDIA tools
  }
}

/** The same tokens as peer.py. */
function batchOf(rows: number, length: number, step: number): LabelledBatch {
  const inputIds = Int32Array.from(
    { length: rows * length },
    (_, i) =>
      (i * 7919 + step * 104729 + Math.floor(i / length) * 31337) %
      Math.min(50000, config.vocabSize),
  );
  const lengths = new Int32Array(rows).fill(length);
  return { inputIds, labels: inputIds, lengths, batchSize: rows, length };
}

const idle = deviceMib();
const gpu = openGpu();
const backend = await createWebGpuBackend({ gpu, profile: true });
log(JSON.stringify(backend.info));
const random = folder === 'random';
const lora = defaultLoraConfig({
  r: 16,
  loraAlpha: 32,
  targetModules: ['q_proj', 'k_proj', 'v_proj', 'dense'],
});
const quantized = !random && existsSync(join(folder, 'nf4'));
const checkpoint = join(folder, quantized ? 'nf4' : 'base');
const config = parsePhiConfig(
  random ? PHI_2 : JSON.parse(readFileSync(join(checkpoint, 'config.json'), 'utf8')),
);
const options = { quantize: { doubleQuant: true }, halfTables: true };
const configs =
  configList === 'none' ? [] : configList.split(',').map((each) => each.split('x').map(Number));
/** As `qlora train` does: what the first step needs is compiled while the weights load. */
async function compile(rows: number, length: number): Promise<void> {
  const programs: PlannedProgram[] = [];
  const { tier, maxBindingBytes } = backend.info;
  const onProgram = (program: PlannedProgram) => programs.push(program);
  const engine = { name: backend.name, tier, maxBinding: maxBindingBytes, onProgram };
  await dryRun({
    ...{ engine: engine as PlannedEngine, config, lora, evaluation: null },
    options: { ...DRY_OPTIONS },
    train: { batchSize: rows, length, trainedTokens: rows * (length - 1), packed: false },
  });
  log(`${programs.length} programs for ${rows} x ${length}`);
  await backend.prepare(programs);
  log('they are compiled');
}
const [first] = configs;
const compiling = first ? compile(first[0], first[1]) : null;
compiling?.catch((error) => log(`not compiled ahead: ${error}`));
const model: PhiModel = random
  ? planPhi(withRandomWeights(backend), config, options)
  : await loadPhi(backend, config, await openCheckpoint(diskFolder(checkpoint)), options);
await backend.sync();
const loadSeconds = (performance.now() - started) / 1000;
log(
  `loaded ${random ? 'random' : quantized ? 'NF4' : 'fp16'}: ${(model.weightBytes / 2 ** 30).toFixed(2)} GiB`,
);
const adapter: LoraAdapter = createAdapter(backend, lora, model.modules, { seed: 1 });
model.attach(adapter);
const optimizer = createAdamW(backend, adapter.parameters(), { maxGradNorm: 1 });
const facts: Record<string, unknown> = {
  ...{ info: backend.info, loadSeconds, weightBytes: model.weightBytes },
  embeddingBytes: byteLengthOf(model.weights.embedding),
};
const train: Record<string, unknown> = {};
facts.train = train;
const peftFolder = join(folder, 'adapter');
if (!random && existsSync(peftFolder)) {
  const start = performance.now();
  const read = await readPeftAdapter(diskFolder(peftFolder));
  const loaded = loadAdapter(backend, read, model.modules);
  await backend.sync();
  facts.adapterSeconds = (performance.now() - start) / 1000;
  log(`an adapter from its files to the device: ${facts.adapterSeconds} s`);
  loaded.dispose();
}

/** Rows of several lengths, padded. */
function paddedBatch(length: number): LabelledBatch {
  const { inputIds } = batchOf(4, length, 5);
  const lengths = Int32Array.from([1, 0.7, 0.4, 0.9], (share) => Math.ceil(share * length));
  const labels = inputIds.map((id, i) =>
    i % length < lengths[Math.floor(i / length)] && i % length > 40 ? id : -100,
  );
  return { inputIds, labels, lengths, batchSize: 4, length };
}

/** Whether what earlier batches left behind changes a result: it must not, in any bit. */
async function leftovers(): Promise<void> {
  const odd = paddedBatch(309);
  for (const attached of [null, adapter]) {
    model.attach(attached);
    const losses: number[] = [];
    for (const other of [null, null, paddedBatch(512), batchOf(8, 512, 3), paddedBatch(310)]) {
      if (other) await model.evaluate(other);
      losses.push((await model.evaluate(odd)).lossSum);
    }
    for (let i = 0; i < 2; i++) {
      optimizer.zeroGrad();
      const how = { normalizer: 1, dropoutSeed: null };
      losses.push((await model.forwardBackward(odd, how)).lossSum);
    }
    log(`${attached ? 'adapter' : 'base'}, one batch between others: ${losses.join(' ')}`);
  }
}

async function step(batch: LabelledBatch, busy: Busy): Promise<number> {
  const normalizer = batch.batchSize * (batch.length - 1);
  return busy.run(async () => {
    optimizer.zeroGrad();
    const { readback } = optimizer;
    const how = { normalizer, dropoutSeed: null, readback };
    const { lossSum } = await model.forwardBackward(batch, how);
    await busy.run(() => optimizer.step(1e-4));
    return (await lossSum) / normalizer;
  });
}

for (const [rows, length] of configs) {
  backend.resetPeak();
  const losses: number[] = [];
  let [busy, begin] = [new Busy(), 0];
  for (let i = 0; i < WARM + STEPS; i++) {
    if (i === WARM) {
      await backend.sync();
      [busy, begin] = [new Busy(), performance.now()];
    }
    losses.push(await step(batchOf(rows, length, i), busy));
    if (i === 0 && Object.keys(train).length === 0)
      facts.firstStepSeconds = (performance.now() - started) / 1000;
  }
  await backend.sync();
  const seconds = (performance.now() - begin) / 1000 / STEPS;
  const name = `${rows}x${length}`;
  train[name] = {
    seconds,
    tokensPerSecond: (rows * length) / seconds,
    jsMilliseconds: busy.milliseconds / STEPS,
    peakGib: backend.memory().peak / 2 ** 30,
    deviceMib: deviceMib() - idle,
    losses,
  };
  log(`${name} ${JSON.stringify(train[name])}`);
  if (mode !== 'profile') continue;
  backend.profiler?.start();
  await step(batchOf(rows, length, 0), busy);
  await backend.sync();
  logTimes(name, await backend.profiler!.stop(), log);
}

/** Loss and a gradient of one batch: the same bits every time, or something is not in order. */
async function once(): Promise<string> {
  optimizer.zeroGrad();
  const { lossSum } = await model.forwardBackward(batchOf(4, 512, 1), {
    normalizer: 1,
    dropoutSeed: null,
  });
  const values = await Promise.all(adapter.parameters().map(({ grad }) => backend.read(grad)));
  return `${lossSum} ${values.map((each) => each.reduce((sum, value) => sum + value, 0))}`;
}
if (configs.length > 0) {
  const runs = [await once(), await once(), await once(), await once()];
  facts.repeatable = runs.every((each) => each === runs[0]);
  log(`four runs of one batch are equal: ${facts.repeatable}`);
  await leftovers();
}

facts.decode = await measureDecoding(
  model,
  (length) => [...batchOf(1, length, 0).inputIds],
  mode === 'profile' ? backend.profiler : null,
  log,
);
if (!random) writeFileSync(join(folder, 'ours.json'), JSON.stringify(facts, null, 1));
await backend.dispose();
// Dawn's object must be reachable until here.
console.log(gpu ? 'done' : '');
process.exit(0);
