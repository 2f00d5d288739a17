import { fileURLToPath } from 'node:url';
import { createReferenceBackend } from '@qlorajs/compute';
import { combineAdapters, loadAdapter, readPeftAdapter } from '@qlorajs/lora';
import { loadPhi } from '@qlorajs/phi2-model';
import type { TensorSource } from '@qlorajs/safetensors';
import { embeddingShape } from '@qlorajs/session';
import { expect, test } from 'vitest';
import { logitDrift, probeLogits, weightDrift } from '../src/export/drift.js';
import { editJson } from '../src/export/float-json.js';
import { adapterGguf, isPlainLora } from '../src/export/gguf-files.js';
import { MergedWeights } from '../src/export/merged-weights.js';
import { openBase } from '../src/io/base-folder.js';
import { folderSource } from '../src/io/file-source.js';
import { openWeights } from '../src/model/load-model.js';

const fixture = (name: string) =>
  fileURLToPath(
    new URL(`../../../packages/phi2-model/fixtures/hf-phi/dev-a/${name}`, import.meta.url),
  );
const backend = createReferenceBackend();

async function open(adapter: string) {
  const base = await openBase(fixture('base'));
  const files = await readPeftAdapter(folderSource(fixture(adapter)));
  return { base, files, weights: await openWeights(base) };
}

/** Logits of base and adapter side by side on the probe. */
async function adapted({ base, files, weights }: Awaited<ReturnType<typeof open>>) {
  const model = await loadPhi(backend, base.config, weights, { quantize: null });
  const embedding = embeddingShape(base.config);
  model.attach(loadAdapter(backend, files, model.modules, { embedding }));
  const length = 48;
  const inputIds = Int32Array.from(
    { length },
    (_, i) => (i * i * 31 + 7 * i + 3) % base.config.vocabSize,
  );
  return model.logits({ inputIds, length, batchSize: 1, lengths: Int32Array.of(length) });
}

test.each(['adapter', 'token-rows'])(
  '%s: merged = base and adapter, in every format',
  async (name) => {
    const all = await open(name);
    const { base, files, weights } = all;
    const wanted = await adapted(all);
    const merged = new MergedWeights(base, weights, [files], 'F32');
    const { vocabSize } = base.config;
    const logits = (source: TensorSource) => probeLogits(backend, base.config, source, null);
    const exact = await logits(merged);
    expect(logitDrift(exact, wanted, vocabSize).largest).toBeLessThan(1e-4);
    const half = await logits(new MergedWeights(base, weights, [files], 'F16').rounded());
    expect(logitDrift(half, wanted, vocabSize).mean).toBeLessThan(1e-3);
    const original = await logits(weights);
    expect(logitDrift(original, wanted, vocabSize).largest).toBeGreaterThan(0.05);
  },
);

test('unmerging gives the base back, and refuses what is lost', async () => {
  const { base, files, weights } = await open('adapter');
  const merged = new MergedWeights(base, weights, [files], 'F32');
  const back = new MergedWeights(base, merged, [files], 'F32', 'unmerge');
  const name = 'model.layers.1.self_attn.v_proj.weight';
  const [before, after] = [await weights.readFloat32(name), await back.readFloat32(name)];
  for (const [i, value] of before.entries()) expect(Math.abs(after[i] - value)).toBeLessThan(1e-6);
  const rows = await open('token-rows');
  expect(() => new MergedWeights(base, weights, [rows.files], 'F32', 'unmerge')).toThrowError(
    /needs the original base/,
  );
});

test('the drift of 4 bits is measured against the update', async () => {
  const { base, files, weights } = await open('adapter');
  const merged = new MergedWeights(base, weights, [files], 'F32');
  const drift = await weightDrift(base.config, merged, [files], true);
  expect(drift.relative).toBeGreaterThan(0.05);
  expect(drift.relative).toBeLessThan(0.15);
  const twice = { ...files, config: { ...files.config, loraAlpha: 2 * files.config.loraAlpha } };
  const other = await weightDrift(base.config, merged, [twice], true);
  expect(other.against_update).toBeCloseTo(drift.against_update / 2, 6);
});

test('an adapter in GGUF: its scaling is alpha / rank, or in B', async () => {
  const { base, files } = await open('adapter');
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
  expect(isPlainLora((await open('token-rows')).files)).toBe(false);
});

test('two adapters merged in turn = their exact sum merged', async () => {
  const { base, files, weights } = await open('adapter');
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
