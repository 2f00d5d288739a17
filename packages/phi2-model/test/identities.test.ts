import { type Backend, byteLengthOf, createReferenceBackend, type Tensor } from '@qlorajs/compute';
import { createAdapter, defaultLoraConfig } from '@qlorajs/lora';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Decoder, type LabelledBatch, type PhiModel } from '../src/index.js';
import { backends, PATIENT } from './backends.js';
import { difference } from './fixtures.js';
import { tinyAdapter, tinyBatch, tinyModel, tinyTokens } from './tiny-model.js';

/** Below the size of embedding and head: on a GPU they are split. */
const BINDING_LIMIT = 4096;

describe.each(backends)('identities on $name', PATIENT, ({ create, slow, tolerance }) => {
  const exactly = tolerance.looser === 1;
  const CLOSE = exactly ? 2e-5 : tolerance.absolute;
  const SIMILAR = exactly ? 1e-4 : tolerance.gradient;
  let backend: Backend;
  let model: PhiModel;

  beforeAll(async () => {
    // Rows in f16 are padded to more than that.
    backend = await create(exactly ? BINDING_LIMIT : undefined);
    model = await tinyModel(backend, { quantize: { doubleQuant: true } });
    expect(byteLengthOf(model.weights.embedding)).toBeGreaterThan(BINDING_LIMIT);
  });

  afterAll(() => backend.dispose());

  const gradients = async (
    of: PhiModel,
    batch: LabelledBatch,
    gradientCheckpointing: boolean,
    dropoutSeed: number | null,
  ): Promise<Float32Array[]> => {
    const adapter = tinyAdapter(of, 0.3);
    of.attach(adapter);
    const options = { normalizer: tinyTokens, dropoutSeed, gradientCheckpointing };
    await of.forwardBackward(batch, options);
    const values = await Promise.all(adapter.parameters().map(({ grad }) => of.backend.read(grad)));
    of.attach(null);
    adapter.dispose();
    return values;
  };

  test('logits and gradients of float64', async () => {
    const exact = createReferenceBackend();
    const reference = await tinyModel(exact, { quantize: { doubleQuant: true } });
    const [a, b] = [tinyAdapter(model), tinyAdapter(reference)];
    model.attach(a);
    reference.attach(b);
    expect(
      difference(await model.logits(tinyBatch), await reference.logits(tinyBatch)).absolute,
    ).toBeLessThan(CLOSE);
    const options = { normalizer: tinyTokens, dropoutSeed: null };
    await model.forwardBackward(tinyBatch, options);
    await reference.forwardBackward(tinyBatch, options);
    for (const [i, { name, grad }] of a.parameters().entries()) {
      const expected = await exact.read(b.parameters()[i].grad);
      expect(difference(await backend.read(grad), expected).relative, name).toBeLessThan(SIMILAR);
    }
    model.attach(null);
    a.dispose();
  });

  test.skipIf(slow)('QLoRA(x) = LoRA(dequantize(W))(x)', async () => {
    const whole = await create();
    const model = await tinyModel(whole, { quantize: { doubleQuant: true } });
    const dense = await tinyModel(whole);
    for (const [layer, block] of model.weights.blocks.entries())
      for (const [name, { weight }] of Object.entries(block.linears)) {
        if (weight.kind !== 'nf4') throw new Error(`${name} is not quantized`);
        const target = dense.weights.blocks[layer].linears[name as keyof typeof block.linears];
        if (target.weight.kind !== 'dense') throw new Error(`${name} is not dense`);
        whole.ops.dequantizeNf4({ weight, out: target.weight.values });
      }
    const [a, b] = [tinyAdapter(model), tinyAdapter(dense)];
    model.attach(a);
    dense.attach(b);
    expect(
      difference(await model.logits(tinyBatch), await dense.logits(tinyBatch)).absolute,
    ).toBeLessThan(CLOSE);
    const [quantized, plain] = [
      await gradients(model, tinyBatch, true, null),
      await gradients(dense, tinyBatch, true, null),
    ];
    for (const [i, gradient] of quantized.entries())
      expect(difference(gradient, plain[i]).relative).toBeLessThan(SIMILAR);
    await whole.dispose();
  });

  test('gradient checkpointing changes no bit, with dropout too', async () => {
    const checkpointed = await gradients(model, tinyBatch, true, 7);
    const kept = await gradients(model, tinyBatch, false, 7);
    expect(checkpointed).toEqual(kept);
    const otherMask = await gradients(model, tinyBatch, true, 8);
    expect(otherMask).not.toEqual(kept);
  });

  test('hidden rows of an adapter of few ranks are kept, and change no bit', async () => {
    const config = defaultLoraConfig({
      ...{ r: 1, loraAlpha: 2, loraDropout: 0.3 },
      targetModules: ['q_proj', 'dense'],
    });
    const run = async (gradientCheckpointing: boolean) => {
      const adapter = createAdapter(backend, config, model.modules, { seed: 3 });
      for (const { b } of adapter.layers.values())
        backend.write(b.value, new Float32Array(b.value.size).fill(0.1));
      model.attach(adapter);
      const options = { normalizer: tinyTokens, dropoutSeed: 7, gradientCheckpointing };
      const { lossSum } = await model.forwardBackward(tinyBatch, options);
      const grads = await Promise.all(adapter.parameters().map(({ grad }) => backend.read(grad)));
      model.attach(null);
      adapter.dispose();
      return [lossSum, ...grads];
    };
    expect(await run(true)).toEqual(await run(false));
  });

  test('cached decoding = the full forward, however the tokens are split', async () => {
    const adapter = tinyAdapter(model);
    model.attach(adapter);
    const ids = [1, 3, 9, 17, 22, 3, 39, 2];
    const batch = {
      inputIds: Int32Array.from(ids),
      lengths: Int32Array.of(ids.length),
      batchSize: 1,
      length: ids.length,
    };
    const logits = await model.logits(batch);
    const { vocabSize } = model.config;
    const decoder = new Decoder(model);
    for (const [from, to] of [
      [0, 3],
      [3, 4],
      [4, 8],
    ]) {
      const next = await decoder.read(ids.slice(from, to));
      const full = logits.subarray((to - 1) * vocabSize, to * vocabSize);
      expect(difference(next, full).absolute).toBeLessThan(CLOSE);
    }
    decoder.truncate(3);
    const again = await decoder.read([17]);
    const full = logits.subarray(3 * vocabSize, 4 * vocabSize);
    expect(difference(again, full).absolute).toBeLessThan(CLOSE);
    await expect(decoder.read(new Array(29).fill(1))).rejects.toThrowError(/33 tokens do not fit/);
    decoder.dispose();
    model.attach(null);
    adapter.dispose();
  });

  test("an example's logits and loss do not depend on its neighbours: padding and packing", async () => {
    const rows = [tinyBatch.inputIds.slice(0, 7), tinyBatch.inputIds.slice(7, 12)];
    const labels = [tinyBatch.labels.slice(0, 7), tinyBatch.labels.slice(7, 12)];
    const padded = await model.logits(tinyBatch);
    const packed: LabelledBatch = {
      batchSize: 1,
      length: 12,
      lengths: Int32Array.of(12),
      inputIds: Int32Array.of(...rows[0], ...rows[1]),
      labels: Int32Array.of(...labels[0], ...labels[1]),
      positions: Int32Array.of(0, 1, 2, 3, 4, 5, 6, 0, 1, 2, 3, 4),
      firstKeys: Int32Array.of(0, 0, 0, 0, 0, 0, 0, 7, 7, 7, 7, 7),
    };
    const together = await model.logits(packed);
    const { vocabSize } = model.config;
    let losses = 0;
    for (const [i, inputIds] of rows.entries()) {
      const { length } = inputIds;
      const single = { batchSize: 1, length, lengths: Int32Array.of(length), inputIds };
      const alone = await model.logits(single);
      const inPadded = padded.subarray(i * 7 * vocabSize, (i * 7 + length) * vocabSize);
      const inPacked = together.subarray(i * 7 * vocabSize, (i * 7 + length) * vocabSize);
      expect(difference(inPadded, alone).absolute).toBeLessThan(CLOSE);
      expect(difference(inPacked, alone).absolute).toBeLessThan(CLOSE);
      losses += (await model.evaluate({ ...single, labels: labels[i] })).lossSum;
    }
    for (const batch of [tinyBatch, packed]) {
      const { lossSum, tokens } = await model.evaluate(batch);
      expect(tokens).toBe(tinyTokens);
      expect(lossSum).toBeCloseTo(losses, exactly ? 3 : 1);
    }
  });

  test.skipIf(slow)('k micro-batches of one row = one batch of k rows', async () => {
    const whole = await gradients(model, tinyBatch, true, null);
    const adapter = tinyAdapter(model);
    model.attach(adapter);
    for (const [b, length] of tinyBatch.lengths.entries()) {
      const part = (values: Int32Array) => values.slice(b * 7, b * 7 + length);
      await model.forwardBackward(
        {
          batchSize: 1,
          length,
          lengths: Int32Array.of(length),
          inputIds: part(tinyBatch.inputIds),
          labels: part(tinyBatch.labels),
        },
        { normalizer: tinyTokens, dropoutSeed: null },
      );
    }
    const near = exactly ? 2e-6 : tolerance.gradient;
    for (const [i, { name, grad }] of adapter.parameters().entries())
      expect(difference(await backend.read(grad), whole[i]).relative, name).toBeLessThan(near);
    model.attach(null);
    adapter.dispose();
  });

  test('B = 0 and no trained rows: the base answers; detached, its rows are back bit for bit', async () => {
    const before = await model.logits(tinyBatch);
    const read = (tensor: Tensor) => backend.read(tensor);
    const table = await read(model.weights.embedding);
    const adapter = tinyAdapter(model);
    model.attach(adapter);
    expect(await model.logits(tinyBatch)).not.toEqual(before);
    expect(await read(model.weights.embedding)).not.toEqual(table);
    model.attach(null);
    adapter.dispose();
    expect(await read(model.weights.embedding)).toEqual(table);
    expect(await model.logits(tinyBatch)).toEqual(before);
  });

  test.skipIf(slow)('memory does not grow from step to step', async () => {
    const adapter = tinyAdapter(model, 0.1);
    model.attach(adapter);
    const step = (seed: number) =>
      model.forwardBackward(tinyBatch, { normalizer: tinyTokens, dropoutSeed: seed });
    await step(1);
    const { live } = backend.memory();
    for (let seed = 2; seed < 8; seed++) await step(seed);
    expect(backend.memory().live).toBe(live);
    model.attach(null);
    adapter.dispose();
  });
});
