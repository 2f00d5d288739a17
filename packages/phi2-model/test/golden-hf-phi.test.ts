import type { Backend } from '@qlorajs/compute';
import type { LoraAdapter } from '@qlorajs/lora';
import { createAdamW } from '@qlorajs/paged-optim';
import type { SafetensorsFile } from '@qlorajs/safetensors';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { generate, type LabelledBatch, type PhiModel } from '../src/index.js';
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
  readonly input_ids: number[][];
  readonly attention_mask: number[][];
  readonly labels: number[][];
  readonly base_loss: number;
  readonly lora_loss: number;
  readonly grad_norm: number;
  readonly trajectory: { loss: number; grad_norm: number; learning_rate: number }[];
  readonly greedy: { prompt: number[]; output: number[]; max_new_tokens: number };
}

// On a slow backend golden-token-rows.test.ts, on the same base, takes the place of these.
const cases = backends.flatMap((backend) =>
  (backend.slow ? [] : ['dev-a', 'dev-b']).map((folder) => ({
    ...backend,
    folder: `hf-phi/${folder}`,
  })),
);

describe.each(cases)(
  '$folder on $name, against transformers and peft',
  PATIENT,
  ({ create, folder, tolerance }) => {
    const expected = readJson<Expected>(folder, 'expected.json');
    const batch: LabelledBatch = batchOf(expected);
    let backend: Backend;
    let model: PhiModel;
    let adapter: LoraAdapter;
    let tensors: SafetensorsFile;

    beforeAll(async () => {
      backend = await create();
      model = await loadFixture(backend, `${folder}/base`, { quantize: null });
      adapter = await loadFixtureAdapter(model, `${folder}/adapter`);
      tensors = await openFile(folder, 'expected.safetensors');
    });

    afterAll(() => backend.dispose());

    test('base logits and every hidden state', async () => {
      model.attach(null);
      const logits = await model.logits(batch);
      expect(difference(logits, await tensors.readFloat32('base.logits')).absolute).toBeLessThan(
        tolerance.absolute,
      );
      const states = await model.hiddenStates(batch);
      expect(states).toHaveLength(model.config.layers + 1);
      for (const [i, state] of states.entries())
        expect(
          difference(state, await tensors.readFloat32(`base.hidden.${i}`)).absolute,
          `hidden state ${i}`,
        ).toBeLessThan(tolerance.absolute);
      const { lossSum, tokens } = await model.evaluate(batch);
      expect(Math.abs(lossSum / tokens / expected.base_loss - 1)).toBeLessThan(tolerance.loss);
    });

    test('logits, loss and every gradient with the adapter', async () => {
      model.attach(adapter);
      const logits = await model.logits(batch);
      expect(difference(logits, await tensors.readFloat32('lora.logits')).absolute).toBeLessThan(
        tolerance.absolute,
      );
      for (const { grad } of adapter.parameters()) backend.ops.fill({ out: grad, value: 0 });
      const tokens = batch.labels.filter((label) => label >= 0).length;
      const loss = await model.forwardBackward(batch, { normalizer: tokens, dropoutSeed: null });
      expect(loss.tokens).toBe(tokens);
      expect(Math.abs(loss.lossSum / tokens / expected.lora_loss - 1)).toBeLessThan(tolerance.loss);
      const wanted = [...tensors.tensors.keys()].filter((key) => key.startsWith('grad.'));
      expect(wanted.map((key) => key.slice(5)).sort()).toEqual(
        adapter
          .parameters()
          .map((p) => p.name)
          .sort(),
      );
      for (const { name, grad } of adapter.parameters())
        expect(
          difference(await backend.read(grad), await tensors.readFloat32(`grad.${name}`)).relative,
          name,
        ).toBeLessThan(tolerance.gradient);
    });

    test('ten steps of AdamW: losses, norms and weights', async () => {
      const trained = await loadFixtureAdapter(model, `${folder}/adapter`);
      model.attach(trained);
      const optimizer = createAdamW(backend, trained.parameters(), {
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-8,
        weightDecay: 0.01,
        maxGradNorm: 1,
      });
      const normalizer = batch.labels.filter((label) => label >= 0).length;
      for (const [i, step] of expected.trajectory.entries()) {
        optimizer.zeroGrad();
        const { lossSum } = await model.forwardBackward(batch, { normalizer, dropoutSeed: null });
        const { gradNorm } = await optimizer.step(step.learning_rate);
        const off = Math.abs(lossSum / normalizer / step.loss - 1);
        expect(off, `loss of step ${i}`).toBeLessThan(tolerance.loss);
        expect(Math.abs(gradNorm / step.grad_norm - 1), `norm of step ${i}`).toBeLessThan(
          1e-3 * tolerance.looser,
        );
      }
      for (const { name, value } of trained.parameters())
        expect(
          difference(await backend.read(value), await tensors.readFloat32(`after10.${name}`))
            .absolute,
          name,
        ).toBeLessThan(5e-4 * tolerance.trained);
      const logits = await model.logits(batch);
      expect(difference(logits, await tensors.readFloat32('after10.logits')).absolute).toBeLessThan(
        2e-3 * tolerance.trained,
      );
      model.attach(null);
      optimizer.dispose();
      trained.dispose();
    });

    test('merged weights: logits and greedy output', async () => {
      const merged = await loadFixture(backend, `${folder}/merged-after10`, { quantize: null });
      const logits = await tensors.readFloat32('after10.logits');
      expect(difference(await merged.logits(batch), logits).absolute).toBeLessThan(
        tolerance.absolute,
      );
      const { prompt, output, max_new_tokens: maxNewTokens } = expected.greedy;
      const ids = [...prompt];
      for await (const { id } of generate(merged, prompt, { maxNewTokens })) ids.push(id);
      expect(ids).toEqual(output);
      merged.dispose();
    });
  },
);
