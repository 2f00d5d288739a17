import { describe, expect, test } from 'vitest';
import { backends, PATIENT } from './backends.js';
import {
  batchOf,
  difference,
  loadFixture,
  loadFixtureAdapter,
  openFile,
  readJson,
} from './fixtures.js';

const folder = 'hf-phi/dev-a';

describe.each(backends)(
  'trained token rows on $name, against peft',
  PATIENT,
  ({ create, tolerance }) => {
    test('logits, loss and every gradient, rows of embedding and head among them', async () => {
      const backend = await create();
      const model = await loadFixture(backend, `${folder}/base`, { quantize: null });
      const adapter = await loadFixtureAdapter(model, `${folder}/token-rows`);
      model.attach(adapter);
      const expected = await openFile(folder, 'token-rows/expected.safetensors');
      const batch = batchOf(readJson(folder, 'expected.json'));
      expect(
        difference(await model.logits(batch), await expected.readFloat32('logits')).absolute,
      ).toBeLessThan(tolerance.absolute);

      const normalizer = batch.labels.filter((label) => label >= 0).length;
      const { lossSum } = await model.forwardBackward(batch, { normalizer, dropoutSeed: null });
      const [loss] = await expected.readFloat32('loss');
      expect(Math.abs(lossSum / normalizer / loss - 1)).toBeLessThan(tolerance.loss);
      const wanted = [...expected.tensors.keys()].filter((key) => key.startsWith('grad.'));
      expect(wanted).toHaveLength(adapter.parameters().length);
      for (const { name, grad } of adapter.parameters())
        expect(
          difference(await backend.read(grad), await expected.readFloat32(`grad.${name}`)).relative,
          name,
        ).toBeLessThan(tolerance.gradient);
      await backend.dispose();
    });
  },
);
