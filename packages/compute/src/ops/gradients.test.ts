import { describe, expect, test } from 'vitest';
import { type Backend, integersFrom, tensorFrom } from '../backend.js';
import type { MemoryUsage } from '../memory-counter.js';
import { createReferenceBackend } from '../reference/backend.js';
import { floats } from '../reference/storage.js';
import { sizeOf, type Tensor } from '../tensor.js';
import { randomValues } from '../testing/op-case.js';
import { randomWeight } from '../testing/weights.js';

const STEP = 1e-5;

function random(backend: Backend, shape: readonly number[], seed: number): Tensor {
  return tensorFrom(backend, randomValues(sizeOf(shape), seed), shape);
}

/** Central differences of sum(weights * out) in float64 against an analytic gradient. */
function expectGradient(
  input: Tensor,
  forward: () => Tensor,
  dOut: Tensor,
  gradient: Tensor,
): void {
  const values = floats(input);
  const objective = () => floats(forward()).reduce((sum, v, i) => sum + v * floats(dOut)[i], 0);
  for (let i = 0; i < values.length; i++) {
    const original = values[i];
    values[i] = original + STEP;
    const above = objective();
    values[i] = original - STEP;
    const below = objective();
    values[i] = original;
    expect(floats(gradient)[i], `element ${i}`).toBeCloseTo((above - below) / (2 * STEP), 6);
  }
}

describe('the backward operations are the derivatives of the forward ones', () => {
  test('layerNorm', () => {
    const backend = createReferenceBackend();
    const [x, dOut, dX] = [1, 2, 3].map((seed) => random(backend, [3, 7], seed));
    const [weight, bias] = [4, 5].map((seed) => random(backend, [7], seed));
    const [mean, rstd] = [backend.empty('f32', [3]), backend.empty('f32', [3])];
    const out = backend.empty('f32', [3, 7]);
    const forward = () => {
      backend.ops.layerNorm({ x, weight, bias, epsilon: 1e-5, out, mean, rstd });
      return out;
    };
    forward();
    backend.ops.layerNormBackward({ dOut, x, weight, mean, rstd, dX, accumulate: false });
    expectGradient(x, forward, dOut, dX);
  });

  test('linear, through NF4 with double quantization', () => {
    const backend = createReferenceBackend();
    const weight = randomWeight(backend, 'nf4-double', [5, 27], 1);
    const x = random(backend, [4, 27], 2);
    const dOut = random(backend, [4, 5], 3);
    const out = backend.empty('f32', [4, 5]);
    const dX = backend.empty('f32', [4, 27]);
    const forward = () => {
      backend.ops.linear({ x, weight, bias: null, out, accumulate: false });
      return out;
    };
    backend.ops.linearBackward({ dOut, weight, dX, accumulate: false });
    expectGradient(x, forward, dOut, dX);
  });

  test('rotary: the inverse turn is the gradient', () => {
    const backend = createReferenceBackend();
    const angles = randomValues(8, 1);
    const cos = tensorFrom(backend, angles.map(Math.cos), [2, 4]);
    const sin = tensorFrom(backend, angles.map(Math.sin), [2, 4]);
    const positions = integersFrom(backend, [1, 0]);
    const shape = { positions, cos, sin, heads: 2, headDim: 10, rotaryDim: 8 };
    const x = random(backend, [2, 20], 2);
    const dOut = random(backend, [2, 20], 3);
    const forward = () => {
      const copy = backend.empty('f32', [2, 20]);
      backend.ops.axpby({ x, out: copy, alpha: 1, beta: 0 });
      backend.ops.rotary({ ...shape, x: copy, inverse: false });
      return copy;
    };
    const gradient = backend.empty('f32', [2, 20]);
    floats(gradient).set(floats(dOut));
    backend.ops.rotary({ ...shape, x: gradient, inverse: true });
    expectGradient(x, forward, dOut, gradient);
  });

  test.each([
    ['right padding', [5, 3], null],
    ['packed documents', [5, 5], [0, 0, 2, 2, 2, 0, 1, 1, 3, 3]],
  ])('attention, %s', (_, lengths, first) => {
    const backend = createReferenceBackend();
    const shape = [2, 5, 6];
    const [q, k, v, dOut, dQ, dK, dV, out] = [1, 2, 3, 4, 5, 6, 7, 8].map((seed) =>
      random(backend, shape, seed),
    );
    const [logSumExp, delta] = [1, 2].map(() => backend.empty('f32', [2, 2, 5]));
    const mask = {
      batch: 2,
      queryLength: 5,
      keyLength: 5,
      heads: 2,
      headDim: 3,
      scale: 0.6,
      keyLengths: integersFrom(backend, lengths),
      queryStart: null,
      firstKeys: first ? integersFrom(backend, first) : null,
    };
    const forward = () => {
      backend.ops.attention({ ...mask, q, k, v, out, logSumExp });
      return out;
    };
    forward();
    const saved = { dOut, q, k, v, out, logSumExp, delta };
    backend.ops.attentionBackward({ ...mask, ...saved, dQ, dK, dV });
    expectGradient(q, forward, dOut, dQ);
    expectGradient(k, forward, dOut, dK);
    expectGradient(v, forward, dOut, dV);
  });

  test('gelu', () => {
    const backend = createReferenceBackend();
    const [x, dOut, dX, out] = [1, 2, 3, 4].map((seed) => random(backend, [40], seed));
    const forward = () => {
      backend.ops.gelu({ x, out });
      return out;
    };
    backend.ops.geluBackward({ dOut, x, dX });
    expectGradient(x, forward, dOut, dX);
  });

  test('crossEntropy', () => {
    const backend = createReferenceBackend();
    const labels = integersFrom(backend, [2, -100, 0]);
    const logits = random(backend, [3, 6], 1);
    const losses = backend.empty('f32', [3]);
    const forward = () => {
      backend.ops.crossEntropy({ logits, labels, losses, gradientScale: null });
      return losses;
    };
    const gradient = backend.empty('f32', [3, 6]);
    floats(gradient).set(floats(logits));
    backend.ops.crossEntropy({ logits: gradient, labels, losses, gradientScale: 0.5 });
    const dOut = tensorFrom(backend, [0.5, 0.5, 0.5], [3]);
    expectGradient(logits, forward, dOut, gradient);
  });
});

test('dropout keeps the share it should, scaled, and recomputes the same mask', async () => {
  const backend = createReferenceBackend();
  const x = backend.empty('f32', [40_000]);
  backend.ops.fill({ out: x, value: 1 });
  const out = backend.empty('f32', [40_000]);
  const call = { x, out, probability: 0.3, stream: 5, accumulate: false };
  backend.ops.dropout({ ...call, seed: 1 });
  const first = await backend.read(out);
  const kept = first.filter((value) => value > 0).length;
  // Four standard deviations of a binomial.
  expect(Math.abs(kept / 40_000 - 0.7)).toBeLessThan(4 * Math.sqrt((0.3 * 0.7) / 40_000));
  expect(new Set(first)).toEqual(new Set([0, Math.fround(1 / 0.7)]));
  backend.ops.dropout({ ...call, seed: 1 });
  expect(await backend.read(out)).toEqual(first);
  backend.ops.dropout({ ...call, seed: 2 });
  const other = await backend.read(out);
  const both = first.filter((value, i) => value > 0 && other[i] > 0).length;
  expect(Math.abs(both / 40_000 - 0.49)).toBeLessThan(0.015);
  const usage: MemoryUsage = backend.memory();
  expect(usage.live).toBe(320_000);
});
