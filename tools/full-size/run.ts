/**
 * Runs a checkpoint of Phi-2's shape and writes what `compare.py` needs: DIR/ours.safetensors (logits
 * in f32 and NF4, gradients of one step), DIR/nf4.safetensors (bitsandbytes layout), DIR/ours.json.
 *
 *     node run.mjs DIR webgpu|wasm [skip-f32]
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { Backend } from '@qlorajs/compute';
import { createWasmBackend } from '@qlorajs/compute-wasm';
import { loadAdapter, readPeftAdapter } from '@qlorajs/lora';
import { type LabelledBatch, loadPhi, parsePhiConfig, phiModules } from '@qlorajs/phi2-model';
import { quantizeNf4, toBitsandbytes } from '@qlorajs/quant-nf4';
import {
  type NamedTensor,
  openCheckpoint,
  safetensorsChunks,
  type TensorSource,
  writeSafetensors,
} from '@qlorajs/safetensors';
import { diskFolder } from '../../bench/disk-folder.js';

const [folder, backendName, skipF32] = process.argv.slice(2);
const started = performance.now();
const log = (text: string) =>
  console.error(`${((performance.now() - started) / 1000).toFixed(1)} s  ${text}`);

async function createBackend(): Promise<Backend> {
  if (backendName === 'wasm') return createWasmBackend({});
  const { createWebGpuBackend } = await import('@qlorajs/compute-webgpu');
  const binding = createRequire(import.meta.url)(process.env.QLORA_DAWN ?? 'webgpu');
  Object.assign(globalThis, binding.globals);
  const gpu = binding.create([
    'enable-dawn-features=allow_unsafe_apis,vulkan_enable_f16_on_nvidia,use_vulkan_memory_model',
  ]);
  Object.assign(globalThis, { qlorajsGpu: gpu }); // a collected instance ends the process
  return createWebGpuBackend({ gpu });
}

function readBatch(): LabelledBatch {
  const inputs = JSON.parse(readFileSync(join(folder, 'inputs.json'), 'utf8')) as Record<
    'input_ids' | 'attention_mask' | 'labels',
    number[][]
  >;
  return {
    inputIds: Int32Array.from(inputs.input_ids.flat()),
    labels: Int32Array.from(inputs.labels.flat()),
    lengths: Int32Array.from(inputs.attention_mask, (mask) => mask.reduce((a, b) => a + b)),
    batchSize: inputs.input_ids.length,
    length: inputs.input_ids[0].length,
  };
}

/** The block linears in bitsandbytes' layout, one matrix in memory at a time. */
async function writeNf4(source: TensorSource, names: readonly string[]): Promise<void> {
  const quantize = async (name: string) => {
    const { shape } = source.tensors.get(name)!;
    return toBitsandbytes(name, quantizeNf4(await source.readFloat32(name), { shape, name }));
  };
  const file = await open(join(folder, 'nf4.safetensors'), 'w');
  const infos = [];
  const held = new Map<string, Awaited<ReturnType<typeof quantize>>>();
  for (const name of names) {
    const entries = await quantize(name);
    held.set(name, entries); // codes are an eighth of the source: they fit in memory here
    for (const [key, { dtype, shape }] of Object.entries(entries))
      infos.push({ name: key, dtype, shape });
  }
  const bytesOf = (key: string): Uint8Array => {
    const owner = names.find((name) => key === name || key.startsWith(`${name}.`))!;
    const { data } = held.get(owner)![key];
    return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  };
  for await (const chunk of safetensorsChunks(infos, bytesOf)) await file.write(chunk);
  await file.close();
}

const backend = await createBackend();
log(`${backend.name} ${JSON.stringify(backend.info)}`);
const batch = readBatch();
const checkpoint = diskFolder(join(folder, 'base'));
const config = parsePhiConfig(JSON.parse(readFileSync(join(folder, 'base/config.json'), 'utf8')));
const source = await openCheckpoint(checkpoint);
log(`${source.tensors.size} tensors`);
const results: Record<string, NamedTensor> = {};
const facts: Record<string, unknown> = { backend: backend.name, tensors: source.tensors.size };
const shape = [batch.batchSize, batch.length, config.vocabSize];

if (skipF32) facts.skipped = 'asked to skip';
else {
  const model = await loadPhi(backend, config, source, { quantize: null });
  log(`f32 loaded, ${(backend.memory().live / 2 ** 30).toFixed(2)} GiB`);
  results['base.logits'] = { dtype: 'F32', shape, data: await model.logits(batch) };
  log('f32 logits');
  model.dispose();
}
await writeNf4(
  source,
  phiModules(config).map(({ name }) => `${name}.weight`),
);
log('NF4 written');
backend.resetPeak();
const model = await loadPhi(backend, config, source, { quantize: { doubleQuant: true } });
facts.weightBytes = model.weightBytes;
log(`NF4 loaded, ${(model.weightBytes / 2 ** 30).toFixed(2)} GiB`);
results['nf4.logits'] = { dtype: 'F32', shape, data: await model.logits(batch) };
log('NF4 logits');
const files = await readPeftAdapter(diskFolder(join(folder, 'adapter')));
const adapter = loadAdapter(backend, files, model.modules);
model.attach(adapter);
const normalizer = batch.labels.filter((label) => label >= 0).length;
for (const pass of ['first', 'second']) {
  for (const { grad } of adapter.parameters()) backend.ops.fill({ out: grad, value: 0 });
  const begin = performance.now();
  const { lossSum } = await model.forwardBackward(batch, { normalizer, dropoutSeed: null });
  await backend.sync();
  facts.loss = lossSum / normalizer;
  facts[`${pass}StepSeconds`] = (performance.now() - begin) / 1000;
}
for (const { name, grad, value } of adapter.parameters())
  results[`grad.${name}`] = { dtype: 'F32', shape: value.shape, data: await backend.read(grad) };
facts.peakBytes = backend.memory().peak;
log(`gradients; peak ${(backend.memory().peak / 2 ** 30).toFixed(2)} GiB`);
writeFileSync(join(folder, 'ours.safetensors'), writeSafetensors(results));
writeFileSync(join(folder, 'ours.json'), JSON.stringify(facts));
await backend.dispose();
