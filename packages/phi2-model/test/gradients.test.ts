import { createReferenceBackend } from '@qlorajs/compute';
import { describe, expect, test } from 'vitest';
import { tinyAdapter, tinyBatch, tinyModel, tinyTokens } from './tiny-model.js';

/** Elements of a parameter that are differentiated: all would take minutes. */
const PROBES = 4;

describe('every gradient is the derivative of the loss, in float64', () => {
  test.each([
    ['plain', 0, {}, null],
    ['dropout in adapters and residuals', 0.3, { resid_pdrop: 0.2 }, 1234],
  ])('%s', async (_, loraDropout, overrides, dropoutSeed) => {
    const backend = createReferenceBackend();
    const model = await tinyModel(backend, { quantize: { doubleQuant: true } }, overrides);
    const adapter = tinyAdapter(model, loraDropout);
    model.attach(adapter);
    const options = { normalizer: tinyTokens, dropoutSeed };
    await model.forwardBackward(tinyBatch, options);
    const gradients = adapter.parameters().map(({ grad }) => data(grad).slice());
    const loss = async () => (await model.forwardBackward(tinyBatch, options)).lossSum / tinyTokens;
    for (const [i, { name, value }] of adapter.parameters().entries())
      for (let probe = 0; probe < PROBES; probe++) {
        const at = (probe * 37 + 11) % value.size;
        const original = data(value)[at];
        const step = 1e-3;
        data(value)[at] = original + step;
        const above = await loss();
        data(value)[at] = original - step;
        const below = await loss();
        data(value)[at] = original;
        // Losses are read back in f32: that rounding, over the step, bounds the accuracy.
        expect(
          Math.abs((above - below) / (2 * step) - gradients[i][at]),
          `${name}[${at}]`,
        ).toBeLessThan(5e-4);
      }
    expect(gradients.every((gradient) => gradient.some((value) => Math.abs(value) > 1e-4))).toBe(
      true,
    );
  });
});

/** The float64 elements that a reference tensor is kept in. */
function data(tensor: { storage: unknown; offset: number; size: number }): Float64Array {
  const storage = tensor.storage as { data: Float64Array };
  return storage.data.subarray(tensor.offset, tensor.offset + tensor.size);
}
