// The same call gives the same bytes for any number of threads and any tile of the same arithmetic, and
// a row of the result does not depend on the other rows.
import { createHash } from 'node:crypto';
import type { OpCase } from '@qlorajs/compute/testing';
import { afterAll, describe, expect, test } from 'vitest';
import { BUILDS, createWasmBackend } from './builds.js';
import {
  attentionBackwardCall,
  attentionCall,
  linearBackwardCall,
  linearCall,
  matmulCall,
} from './calls.js';
import { Inputs } from './random.js';

/** Element by element and row by row operations, large enough to be shared. */
const large: OpCase = {
  op: 'gelu',
  name: 'elementwise, rows and optimizer of 90,000 elements',
  async run(backend) {
    const { ops } = backend;
    const inputs = new Inputs(backend, 1);
    const [x, g, a, b, c, d, e, f] = [1, 2, 3, 4, 5, 6, 7, 8].map(() => inputs.floats([300, 300]));
    const [weight, bias] = [inputs.floats([300]), inputs.floats([300])];
    const [mean, rstd, losses] = [1, 2, 3].map(() => inputs.floats([300]));
    const one = inputs.floats([1]);
    const squares = inputs.floats([1]);
    const ids = inputs.integers(Array.from({ length: 300 }, (_, i) => (i * 7) % 40));
    ops.gelu({ x, out: a });
    ops.geluBackward({ dOut: g, x, dX: b });
    ops.dropout({ x, out: c, probability: 0.3, seed: 5, stream: 6, accumulate: true });
    ops.layerNorm({ x, weight, bias, epsilon: 1e-5, out: d, mean, rstd });
    ops.layerNormBackward({ dOut: g, x, weight, mean, rstd, dX: e, accumulate: true });
    ops.scatterAddRows({ source: a, ids, out: f, width: 300 });
    ops.sumSquares({ x: f, out: squares, accumulate: false });
    ops.crossEntropy({ logits: d, labels: ids, losses, gradientScale: 0.5 });
    ops.gatherRows({ source: f, ids, out: g, width: 300 });
    const rates = { learningRate: 0.1, beta1: 0.9, beta2: 0.9, epsilon: 1e-8, weightDecay: 0.1 };
    ops.fill({ out: x, value: 1 });
    ops.adamw({
      parameter: a,
      gradient: b,
      firstMoment: c,
      secondMoment: x,
      scale: one,
      ...rates,
      step: 2,
    });
    ops.axpby({ x: b, out: e, alpha: 0.3, beta: 0.7 });
    const results: Record<string, Float32Array> = {};
    const outputs = { x, g, a, b, c, d, e, f, mean, rstd, losses, squares };
    for (const [name, tensor] of Object.entries(outputs))
      results[name] = await backend.read(tensor);
    inputs.freeAll();
    return results;
  },
};

const linear = { blockSize: 64, inFeatures: 320, outFeatures: 333, accumulate: false };
const SHARED: readonly OpCase[] = [
  large,
  linearCall({ ...linear, kind: 'nf4-double', rows: 1 }),
  linearCall({ ...linear, kind: 'f16', rows: 7 }),
  linearCall({ ...linear, kind: 'nf4', rows: 130 }),
  linearBackwardCall({ ...linear, kind: 'nf4-double', rows: 150 }),
  linearBackwardCall({ ...linear, kind: 'f32', rows: 3 }),
  matmulCall({ m: 16, n: 320, k: 400, transposeA: true, transposeB: false, beta: 1 }),
  matmulCall({ m: 320, n: 16, k: 400, transposeA: true, transposeB: false, beta: 0 }),
  matmulCall({ m: 400, n: 16, k: 320, transposeA: false, transposeB: true, beta: 0 }),
  attentionCall({ lengths: [300, 120, 33], heads: 2, headDim: 20, queryLength: 300, document: 0 }),
  attentionCall({ lengths: [600], heads: 4, headDim: 80, queryLength: 1, document: 0 }),
  attentionBackwardCall({
    lengths: [150, 77],
    heads: 2,
    headDim: 20,
    queryLength: 150,
    document: 40,
  }),
];

/** A digest of the bytes of every output. */
function digests(values: Record<string, Float32Array>): Record<string, string> {
  const digest = (each: Float32Array) => createHash('sha256').update(each).digest('hex');
  return Object.fromEntries(Object.entries(values).map(([name, each]) => [name, digest(each)]));
}

/** What the first tile of an arithmetic gave. */
const firstTile = new Map<string, Record<string, string>>();

describe.each(BUILDS)('$build', ({ relaxedSimd, tile, present }) => {
  const backends = [1, 2, 3].map((threads) =>
    present ? createWasmBackend({ threads, relaxedSimd, tile }) : null,
  );
  afterAll(async () => {
    for (const backend of backends) await (await backend)?.dispose();
  });

  for (const opCase of SHARED)
    test.runIf(present)(`1, 2 and 3 threads and all tiles agree: ${opCase.name}`, async () => {
      const [one, ...more] = await Promise.all(backends);
      const here = digests(await opCase.run(one!));
      const key = `${relaxedSimd} ${opCase.name}`;
      const expected = firstTile.get(key) ?? here;
      firstTile.set(key, expected);
      expect(here).toEqual(expected);
      for (const backend of more)
        for (let round = 0; round < 3; round++)
          expect(digests(await opCase.run(backend!))).toEqual(expected);
    });

  test.runIf(present).each([
    [2, 16],
    [17, 140],
  ])('a row of linear is the same for %i and for %i rows', async (few, many) => {
    const backend = (await backends[1])!;
    const inputs = new Inputs(backend, 9);
    const weight = inputs.weight('nf4', [100, 320]);
    const [x, out] = [inputs.floats([many, 320]), inputs.floats([many, 100])];
    const [bias, accumulate] = [null, false];
    backend.ops.linear({ x, weight, bias, out, accumulate });
    const all = await backend.read(out);
    const part = backend.view(out, 0, [few, 100]);
    backend.ops.fill({ out, value: 0 });
    backend.ops.linear({ x: backend.view(x, 0, [few, 320]), weight, bias, out: part, accumulate });
    expect(await backend.read(part)).toEqual(all.slice(0, few * 100));
    inputs.freeAll();
  });
});
