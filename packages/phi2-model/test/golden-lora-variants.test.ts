import type { Backend } from '@qlorajs/compute';
import {
  decaysByName,
  exportPeftAdapter,
  isDora,
  type LoraAdapter,
  loraPlusRates,
  mergeDora,
  readPeftAdapter,
} from '@qlorajs/lora';
import { createAdamW } from '@qlorajs/paged-optim';
import type { SafetensorsFile } from '@qlorajs/safetensors';
import { memoryFolder } from '@qlorajs/safetensors';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { LabelledBatch, PhiModel } from '../src/index.js';
import { backends, PATIENT } from './backends.js';
import {
  batchOf,
  difference,
  loadFixture,
  loadFixtureAdapter,
  openFile,
  readJson,
} from './fixtures.js';

interface Expected {
  readonly loss: number;
  readonly trajectory: { loss: number; grad_norm: number }[];
}

/** See tools/reference/lora_variants_golden.py. */
const CASES = [
  { variant: 'dora', adapter: 'dora', nf4: false, ratio: 1 },
  { variant: 'dora-nf4', adapter: 'dora', nf4: true, ratio: 1 },
  { variant: 'saved-modules', adapter: 'saved-modules', nf4: false, ratio: 1 },
  { variant: 'loraplus', adapter: 'loraplus', nf4: false, ratio: 16 },
];
const LEARNING_RATE = 1e-2;
const WEIGHT_DECAY = 0.05;
const BASE = 'hf-phi/dev-a/base';

// Each compiles the kernels anew: on a slow GPU the one with most kinds of them stands for all.
const cases = backends.flatMap((backend) =>
  CASES.filter(({ variant }) => !backend.slow || variant === 'dora-nf4').map((each) => ({
    ...backend,
    ...each,
  })),
);
const batch: LabelledBatch = batchOf(readJson('hf-phi/dev-a', 'expected.json'));
const normalizer = batch.labels.filter((label) => label >= 0).length;

describe.each(cases)(
  '$variant on $name, against peft',
  PATIENT,
  ({ create, variant, adapter: folder, nf4, ratio, tolerance, slow }) => {
    const expected = readJson<Expected>('lora-variants', variant, 'expected.json');
    let backend: Backend;
    let model: PhiModel;
    let adapter: LoraAdapter;
    let tensors: SafetensorsFile;

    beforeAll(async () => {
      backend = await create();
      const base = nf4 ? 'lora-variants/dora-nf4/base' : BASE;
      model = await loadFixture(backend, base, { quantize: null });
      expect(model.report.quantized).toBe(nf4 ? 12 : 0);
      adapter = await loadFixtureAdapter(model, `lora-variants/${folder}/adapter`);
      model.attach(adapter);
      tensors = await openFile('lora-variants', variant, 'expected.safetensors');
    });

    afterAll(() => backend.dispose());

    test('logits, loss and every gradient', async () => {
      const logits = await model.logits(batch);
      expect(difference(logits, await tensors.readFloat32('logits')).absolute).toBeLessThan(
        tolerance.absolute,
      );
      const { lossSum } = await model.forwardBackward(batch, { normalizer, dropoutSeed: null });
      expect(Math.abs(lossSum / normalizer / expected.loss - 1)).toBeLessThan(tolerance.loss);
      const names = [...tensors.tensors.keys()].filter((key) => key.startsWith('grad.'));
      expect(
        adapter
          .parameters()
          .map(({ name }) => `grad.${name}`)
          .sort(),
      ).toEqual(names.sort());
      for (const { name, grad } of adapter.parameters())
        expect(
          difference(await backend.read(grad), await tensors.readFloat32(`grad.${name}`)).relative,
          name,
        ).toBeLessThan(tolerance.gradient);
    });

    const checkpointings = slow ? [true] : [true, false];
    test.each(checkpointings)('five steps of AdamW, checkpointing %s', async (checkpointing) => {
      const trained = await loadFixtureAdapter(model, `lora-variants/${folder}/adapter`);
      model.attach(trained);
      const optimizer = createAdamW(backend, trained.parameters(), {
        weightDecay: WEIGHT_DECAY,
        decays: decaysByName,
        rates: loraPlusRates(ratio),
      });
      for (const [i, step] of expected.trajectory.entries()) {
        optimizer.zeroGrad();
        const options = { normalizer, dropoutSeed: null, gradientCheckpointing: checkpointing };
        const { lossSum } = await model.forwardBackward(batch, options);
        const { gradNorm } = await optimizer.step(LEARNING_RATE);
        const off = Math.abs(lossSum / normalizer / step.loss - 1);
        expect(off, `loss of step ${i}`).toBeLessThan(tolerance.loss);
        expect(Math.abs(gradNorm / step.grad_norm - 1), `norm of step ${i}`).toBeLessThan(
          1e-3 * tolerance.looser,
        );
      }
      for (const { name, value } of trained.parameters())
        expect(
          difference(await backend.read(value), await tensors.readFloat32(`after5.${name}`))
            .absolute,
          name,
        ).toBeLessThan(1e-3 * tolerance.trained);
      model.attach(adapter);
      optimizer.dispose();
      trained.dispose();
    });

    test('the files that come out are those that went in', async () => {
      const files = await exportPeftAdapter(adapter);
      const entries = Object.entries(files).map(
        ([name, content]) =>
          [
            name,
            typeof content === 'string' ? new TextEncoder().encode(content) : content,
          ] as const,
      );
      const again = await readPeftAdapter(memoryFolder(entries));
      const saved = await openFile('lora-variants', folder, 'adapter', 'adapter_model.safetensors');
      expect([...again.tensors.keys()].sort()).toEqual([...saved.tensors.keys()].sort());
      for (const [name, { values }] of again.tensors)
        expect(values, name).toEqual(await saved.readFloat32(name));
      expect(JSON.parse(files['adapter_config.json'])).toEqual(
        readJson('lora-variants', folder, 'adapter', 'adapter_config.json'),
      );
    });
  },
);

test('a merged DoRA layer has the weights of PEFT', async () => {
  const backend = await backends[0].create();
  const model = await loadFixture(backend, BASE, { quantize: null });
  const adapter = await loadFixtureAdapter(model, 'lora-variants/dora/adapter');
  const base = await openFile(BASE, 'model.safetensors');
  const merged = await openFile('lora-variants/dora', 'merged.safetensors');
  for (const layer of adapter.layers.values()) {
    if (!isDora(layer)) throw new Error('no magnitude');
    const weight = await base.readFloat32(`${layer.name}.weight`);
    const [a, b, magnitude] = await Promise.all(
      [layer.a, layer.b, layer.magnitude].map(({ value }) => backend.read(value)),
    );
    mergeDora(weight, { a, b, magnitude, rank: layer.rank, scaling: layer.scaling });
    const wanted = await merged.readFloat32(`${layer.name}.weight`);
    expect(difference(weight, wanted).absolute, layer.name).toBeLessThan(2e-6);
  }
  await backend.dispose();
});

test('the norms that a new DoRA adapter starts from are those of the dequantized rows', async () => {
  for (const { create } of backends) {
    const backend = await create();
    const model = await loadFixture(backend, BASE, { quantize: { doubleQuant: true } });
    const { name } = model.modules[5];
    const norms = (await model.rowNorms([name])).get(name)!;
    const { weight } = model.weights.blocks[0].linears['mlp.fc2'];
    if (weight.kind !== 'nf4') throw new Error('not quantized');
    const dense = backend.empty('f32', weight.shape);
    backend.ops.dequantizeNf4({ weight, out: dense });
    const values = await backend.read(dense);
    const wanted = Array.from({ length: weight.shape[0] }, (_, row) =>
      Math.hypot(...values.subarray(row * weight.shape[1], (row + 1) * weight.shape[1])),
    );
    expect(difference(norms, wanted).relative).toBeLessThan(1e-6);
    await backend.dispose();
  }
});
