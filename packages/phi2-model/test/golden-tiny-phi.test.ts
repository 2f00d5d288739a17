import type { Backend } from '@qlorajs/compute';
import { createAdamW } from '@qlorajs/paged-optim';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { LabelledBatch, PhiModel } from '../src/index.js';
import { backends, PATIENT } from './backends.js';
import {
  batchOf,
  difference,
  loadFixture,
  loadFixtureAdapter,
  openFile,
  readFloats,
  readJson,
} from './fixtures.js';

interface Expected {
  readonly input_ids: number[][];
  readonly attention_mask: number[][];
  readonly labels: number[][];
  readonly base: { readonly loss: number };
  readonly lora: {
    readonly loss: number;
    readonly grad_norm: number;
    readonly loss_after_1_step: number;
  };
  readonly qlora: { readonly loss: number; readonly grad_norm: number };
}

const expected = readJson<Expected>('tiny-phi', 'expected.json');
const batch: LabelledBatch = batchOf(expected);
const normalizer = batch.labels.filter((label) => label >= 0).length;

/** Only real positions: the fixture's padded ones attend differently. */
function realRows(values: Float32Array): Float32Array {
  const width = values.length / batch.inputIds.length;
  return values.filter((_, i) => {
    const row = Math.floor(i / width);
    return row % batch.length < batch.lengths[Math.floor(row / batch.length)];
  });
}

describe.each(backends)(
  'tiny-phi on $name, against torch and bitsandbytes',
  PATIENT,
  ({ create, tolerance }) => {
    let backend: Backend;
    const models: Record<'f32' | 'nf4', PhiModel> = {} as Record<'f32' | 'nf4', PhiModel>;

    beforeAll(async () => {
      backend = await create();
      models.f32 = await loadFixture(backend, 'tiny-phi', { quantize: null });
      models.nf4 = await loadFixture(backend, 'tiny-phi', {
        quantize: null,
        baseName: 'model.nf4-dq',
      });
    });

    afterAll(() => backend.dispose());

    test('the bitsandbytes checkpoint stays in four bits', () => {
      expect(models.nf4.report.quantized).toBe(12);
      expect(models.f32.report.quantized).toBe(0);
      // 4 bits a code, 8 a scale, and the nested scales and map.
      const weights = 2 * (4 * 80 * 80 + 2 * 80 * 320);
      expect(models.nf4.quantizedBytes).toBeGreaterThan(weights * (0.5 + 1 / 64));
      expect(models.nf4.quantizedBytes).toBeLessThan(weights * (0.5 + 1 / 64) + 12 * (1024 + 16));
    });

    test.each([
      ['base', 'f32', null, 'logits.base.f32le.bin'],
      ['lora', 'f32', 'tiny-phi', 'logits.lora.f32le.bin'],
      ['qlora', 'nf4', 'tiny-phi', 'logits.qlora.f32le.bin'],
    ] as const)('%s logits and loss', async (name, kind, folder, file) => {
      const model = models[kind];
      const adapter = folder ? await loadFixtureAdapter(model, folder) : null;
      model.attach(adapter);
      const logits = await model.logits(batch);
      const off = difference(realRows(logits), realRows(readFloats('tiny-phi', file)));
      expect(off.absolute).toBeLessThan(tolerance.absolute);
      const { lossSum, tokens } = await model.evaluate(batch);
      expect(tokens).toBe(normalizer);
      expect(Math.abs(lossSum / tokens / expected[name].loss - 1)).toBeLessThan(tolerance.loss);
      model.attach(null);
      adapter?.dispose();
    });

    test.each([
      ['lora', 'f32'],
      ['qlora', 'nf4'],
    ] as const)('%s gradients', async (name, kind) => {
      const model = models[kind];
      const adapter = await loadFixtureAdapter(model, 'tiny-phi');
      model.attach(adapter);
      await model.forwardBackward(batch, { normalizer, dropoutSeed: null });
      const file = await openFile('tiny-phi', `grads.${name}.safetensors`);
      let squares = 0;
      for (const { name: key, grad } of adapter.parameters()) {
        const values = await backend.read(grad);
        const off = difference(values, await file.readFloat32(key));
        expect(off.relative, key).toBeLessThan(tolerance.gradient);
        squares += values.reduce((sum, value) => sum + value * value, 0);
      }
      expect(Math.abs(Math.sqrt(squares) / expected[name].grad_norm - 1)).toBeLessThan(1e-3);
      model.attach(null);
      adapter.dispose();
    });

    test('one clipped AdamW step', async () => {
      const model = models.f32;
      const adapter = await loadFixtureAdapter(model, 'tiny-phi');
      model.attach(adapter);
      const optimizer = createAdamW(backend, adapter.parameters(), {
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-8,
        weightDecay: 0.01,
        maxGradNorm: 0.25,
      });
      await model.forwardBackward(batch, { normalizer, dropoutSeed: null });
      await optimizer.step(1e-3);
      const file = await openFile('tiny-phi', 'adapter.after_1_adamw_step.safetensors');
      for (const { name, value } of adapter.parameters())
        expect(
          difference(await backend.read(value), await file.readFloat32(name)).absolute,
          name,
        ).toBeLessThan(2e-5);
      const { lossSum } = await model.evaluate(batch);
      expect(Math.abs(lossSum / normalizer / expected.lora.loss_after_1_step - 1)).toBeLessThan(
        tolerance.loss,
      );
      model.attach(null);
      optimizer.dispose();
      adapter.dispose();
    });
  },
);
