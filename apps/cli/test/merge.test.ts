import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Backend, createReferenceBackend } from '@qlorajs/compute';
import { createWasmBackend } from '@qlorajs/compute-wasm';
import { combineAdapters, loadAdapter, readPeftAdapter } from '@qlorajs/lora';
import { personalities } from '@qlorajs/personalities';
import { loadPhi } from '@qlorajs/phi2-model';
import type { TensorSource } from '@qlorajs/safetensors';
import { embeddingShape } from '@qlorajs/session';
import { afterEach, expect, test } from 'vitest';
import { logitDrift, probeLogits, weightDrift } from '../src/export/drift.js';
import { editJson } from '../src/export/float-json.js';
import { adapterGguf, isPlainLora } from '../src/export/gguf-files.js';
import { MergedWeights } from '../src/export/merged-weights.js';
import { openBase } from '../src/io/base-folder.js';
import { folderSource } from '../src/io/file-source.js';
import { openWeights } from '../src/model/load-model.js';

const fixtures = fileURLToPath(new URL('../../../packages/phi2-model/fixtures', import.meta.url));
const tinyBase = join(fixtures, 'hf-phi/dev-a/base');
const ofTiny = (name: string) => join(fixtures, 'hf-phi/dev-a', name);

/** What merging in each format did to the logits in transformers and PEFT: tools/reference/merge_check.py. */
const drifts = JSON.parse(readFileSync(join(fixtures, 'merge-drift.json'), 'utf8')) as Record<
  string,
  Record<'float16' | 'bfloat16' | 'float32', { peft: number }> & {
    change: number;
    largest_logit: number;
  }
>;
const FORMATS = [
  ['float16', 'F16'],
  ['bfloat16', 'BF16'],
  ['float32', 'F32'],
] as const;

const opened: TensorSource[] = [];
afterEach(async () => {
  for (const each of opened.splice(0)) await each.close();
});

async function open(adapter: string, from = tinyBase) {
  const base = await openBase(from);
  const files = await readPeftAdapter(folderSource(adapter));
  const weights = await openWeights(base);
  opened.push(weights);
  return { base, files, weights };
}
const openTiny = (name: string) => open(ofTiny(name));

/** Logits of base and adapter side by side on the probe. */
async function adapted(
  { base, files, weights }: Awaited<ReturnType<typeof open>>,
  backend: Backend,
) {
  const model = await loadPhi(backend, base.config, weights, { quantize: null });
  const embedding = embeddingShape(base.config);
  const { modules, savable } = model;
  model.attach(loadAdapter(backend, files, modules, { embedding, savable }));
  const length = 48;
  const inputIds = Int32Array.from(
    { length },
    (_, i) => (i * i * 31 + 7 * i + 3) % base.config.vocabSize,
  );
  return model.logits({ inputIds, length, batchSize: 1, lengths: Int32Array.of(length) });
}

/** Merged = base and adapter, off by no more than PEFT's own merge into the same format. */
async function checkDrifts(
  name: string,
  all: Awaited<ReturnType<typeof open>>,
  backend: Backend,
  formats: typeof FORMATS | (typeof FORMATS)[number][] = FORMATS,
) {
  const { base, files, weights } = all;
  const { vocabSize } = base.config;
  const wanted = await adapted(all, backend);
  const { change, largest_logit: size, ...peft } = drifts[name];
  const driftOf = async (source: TensorSource) =>
    logitDrift(await probeLogits(backend, base.config, source, null), wanted, vocabSize).largest;
  for (const [dtype, type] of formats) {
    const drift = await driftOf(new MergedWeights(base, weights, [files], type).rounded());
    expect(drift).toBeLessThan(Math.max(1.1 * peft[dtype].peft, 2e-6 * size));
    if (dtype === 'float16') expect(drift).toBeLessThan(1e-3 * size);
    if (dtype === 'float32') expect(drift).toBeLessThan(1e-4);
  }
  expect(await driftOf(weights)).toBeCloseTo(change, 2);
}

test.each([
  ['dev-a', ofTiny('adapter'), tinyBase],
  ['token-rows', ofTiny('token-rows'), tinyBase],
  ['dev-b', join(fixtures, 'hf-phi/dev-b/adapter'), join(fixtures, 'hf-phi/dev-b/base')],
  ['dora', join(fixtures, 'lora-variants/dora/adapter'), tinyBase],
  ['saved-modules', join(fixtures, 'lora-variants/saved-modules/adapter'), tinyBase],
])(
  '%s: merged in every format, no further from base and adapter than PEFT',
  async (name, adapter, base) => {
    await checkDrifts(name, await open(adapter, base), createReferenceBackend());
  },
);

test('a personality of phi-nano, merged in fp16: within 1e-3 of the largest logit', async () => {
  const backend = await createWasmBackend({ threads: 2 });
  const path = fileURLToPath(personalities.find(({ name }) => name === 'stories')!.adapter);
  await checkDrifts('stories', await open(path, 'phi-nano'), backend, [FORMATS[0]]);
  await backend.dispose();
});

test('unmerging gives the base back, and refuses what is lost', async () => {
  const { base, files, weights } = await openTiny('adapter');
  const merged = new MergedWeights(base, weights, [files], 'F32');
  const back = new MergedWeights(base, merged, [files], 'F32', 'unmerge');
  const name = 'model.layers.1.self_attn.v_proj.weight';
  const [before, after] = [await weights.readFloat32(name), await back.readFloat32(name)];
  for (const [i, value] of before.entries()) expect(Math.abs(after[i] - value)).toBeLessThan(1e-6);
  const rows = await openTiny('token-rows');
  expect(() => new MergedWeights(base, weights, [rows.files], 'F32', 'unmerge')).toThrowError(
    /needs the original base/,
  );
});

test('the drift of 4 bits is measured against the update', async () => {
  const { base, files, weights } = await openTiny('adapter');
  const merged = new MergedWeights(base, weights, [files], 'F32');
  const drift = await weightDrift(base.config, merged, [files], true);
  expect(drift.relative).toBeGreaterThan(0.05);
  expect(drift.relative).toBeLessThan(0.15);
  const twice = { ...files, config: { ...files.config, loraAlpha: 2 * files.config.loraAlpha } };
  const other = await weightDrift(base.config, merged, [twice], true);
  expect(other.against_update).toBeCloseTo(drift.against_update / 2, 6);
});

test('an adapter in GGUF: its scaling is alpha / rank, or in B', async () => {
  const { base, files } = await openTiny('adapter');
  expect(isPlainLora(files)).toBe(true);
  const plain = adapterGguf('x', base.config, files);
  expect(plain.metadata.get('adapter.lora.alpha')).toEqual({
    type: 'f32',
    value: files.config.loraAlpha,
  });
  expect(plain.tensors.map(({ name }) => name)).toContain('blk.0.attn_q.weight.lora_a');
  const stabilized = adapterGguf('x', base.config, {
    ...files,
    config: { ...files.config, useRslora: true },
  });
  expect(stabilized.metadata.get('adapter.lora.alpha')).toEqual({ type: 'f32', value: 0 });
  const [b, scaled] = [await plain.tensors[1].values(), await stabilized.tensors[1].values()];
  expect(scaled[3] / b[3]).toBeCloseTo(files.config.loraAlpha / Math.sqrt(files.config.r), 5);
  expect(isPlainLora((await openTiny('token-rows')).files)).toBe(false);
});

test('two adapters merged in turn = their exact sum merged', async () => {
  const { base, files, weights } = await openTiny('adapter');
  const sum = combineAdapters([files, files], { weights: [1, 1], type: 'cat' });
  const name = 'model.layers.0.self_attn.q_proj.weight';
  const inTurn = await new MergedWeights(base, weights, [files, files], 'F32').readFloat32(name);
  const atOnce = await new MergedWeights(base, weights, [sum], 'F32').readFloat32(name);
  for (const [i, value] of inTurn.entries()) expect(Math.abs(atOnce[i] - value)).toBeLessThan(1e-6);
});

test('floats of a config stay floats', () => {
  const source = '{"a": 0.0, "b": [1.0, 2], "c": 3, "drop": {"x": 1.0}}';
  const text = editJson(source, (entries) => {
    delete entries.drop;
    entries.dtype = 'float16';
  });
  expect(text).toBe(
    '{\n  "a": 0.0,\n  "b": [\n    1.0,\n    2\n  ],\n  "c": 3,\n  "dtype": "float16"\n}\n',
  );
});
