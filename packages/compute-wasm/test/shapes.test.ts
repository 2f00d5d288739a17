// Random shapes against the float64 reference: edges of tiles, blocks that cross rows, odd sizes.
import { checkCase } from '@qlorajs/compute/testing';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { BUILDS, createWasmBackend } from './builds.js';
import {
  attentionBackwardCall,
  attentionCall,
  linearBackwardCall,
  linearCall,
  matmulCall,
} from './calls.js';
import { WEIGHT_KINDS } from './random.js';

const size = (most: number) => fc.integer({ min: 1, max: most });

const linearShapes = fc.record({
  kind: fc.constantFrom(...WEIGHT_KINDS),
  blockSize: fc.constantFrom(16, 18, 32, 64, 128),
  rows: size(40),
  inFeatures: size(150),
  outFeatures: size(70),
  accumulate: fc.boolean(),
});

const matmulShapes = fc.record({
  m: size(60),
  n: size(60),
  k: size(60),
  transposeA: fc.boolean(),
  transposeB: fc.boolean(),
  beta: fc.constantFrom(0, 1, -0.5),
});

const attentionShapes = fc.record({
  lengths: fc.array(size(40), { minLength: 1, maxLength: 2 }),
  heads: size(3),
  headDim: size(40),
  queryLength: size(40),
  document: fc.constantFrom(0, 3, 11),
});

describe.each(BUILDS)('$build', ({ relaxedSimd, tile, present }) => {
  const backend = present ? createWasmBackend({ threads: 2, relaxedSimd, tile }) : null;
  afterAll(async () => (await backend)?.dispose());

  const agree = (shapes: fc.Arbitrary<Parameters<typeof checkCase>[1]>, numRuns: number) =>
    fc.assert(
      fc.asyncProperty(shapes, async (opCase) => {
        expect(await checkCase(await backend!, opCase)).toEqual([]);
      }),
      { numRuns },
    );

  test.runIf(present)('linear', () => agree(linearShapes.map(linearCall), 80));
  test.runIf(present)('linearBackward', () => agree(linearShapes.map(linearBackwardCall), 80));
  test.runIf(present)('matmul', () => agree(matmulShapes.map(matmulCall), 80));
  test.runIf(present)('attention', () => agree(attentionShapes.map(attentionCall), 60));
  test.runIf(present)('attentionBackward', () =>
    agree(
      attentionShapes
        .map((call) => ({ ...call, queryLength: Math.max(...call.lengths) }))
        .map(attentionBackwardCall),
      60,
    ),
  );

  // Each of these is past a block of the loops: 512 deep, 256 columns, 120 rows, 16 MiB of packed rows;
  // 256 queries, 96 keys.
  const large = [
    linearCall({
      kind: 'nf4-double',
      blockSize: 64,
      rows: 131,
      inFeatures: 1088,
      outFeatures: 300,
      accumulate: false,
    }),
    linearCall({
      kind: 'f16',
      blockSize: 64,
      rows: 3,
      inFeatures: 2100,
      outFeatures: 40,
      accumulate: true,
    }),
    linearCall({
      kind: 'f32',
      blockSize: 64,
      rows: 430,
      inFeatures: 10_300,
      outFeatures: 3,
      accumulate: false,
    }),
    linearBackwardCall({
      kind: 'nf4',
      blockSize: 64,
      rows: 125,
      inFeatures: 300,
      outFeatures: 700,
      accumulate: true,
    }),
    matmulCall({ m: 20, n: 530, k: 1030, transposeA: true, transposeB: false, beta: 1 }),
    matmulCall({ m: 300, n: 5, k: 600, transposeA: true, transposeB: true, beta: 0 }),
    attentionCall({ lengths: [300, 101], heads: 2, headDim: 80, queryLength: 300, document: 0 }),
    attentionCall({ lengths: [290], heads: 1, headDim: 128, queryLength: 290, document: 120 }),
    attentionCall({ lengths: [500, 300], heads: 2, headDim: 80, queryLength: 3, document: 0 }),
    attentionBackwardCall({
      lengths: [210, 97],
      heads: 2,
      headDim: 80,
      queryLength: 210,
      document: 0,
    }),
    attentionBackwardCall({
      lengths: [200],
      heads: 1,
      headDim: 64,
      queryLength: 200,
      document: 90,
    }),
  ];
  for (const opCase of large)
    test.runIf(present)(opCase.name, async () => {
      expect(await checkCase(await backend!, opCase)).toEqual([]);
    });
});
