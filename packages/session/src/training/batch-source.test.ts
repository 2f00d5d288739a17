import type { TokenizedExample } from '@qlorajs/dataset';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { evaluationBatches, splitExamples, trainingBatches } from './batch-source.js';

const example = (length: number, line: number): TokenizedExample => ({
  inputIds: new Int32Array(length).fill(line),
  labels: new Int32Array(length).fill(line),
  line,
});
const examples = Array.from({ length: 10 }, (_, i) => example(2 + (i % 3), i + 1));
const options = { batchSize: 4, padId: 0, packedLength: null, shuffleSeed: 1 };

test('an epoch holds every example once, in another order each time, the same for one number', () => {
  const source = trainingBatches(examples, options);
  const linesOf = (epoch: number) =>
    source
      .batches(epoch)
      .flatMap(({ inputIds, batchSize, length }) =>
        Array.from({ length: batchSize }, (_, row) => inputIds[row * length]),
      );
  expect(source.batchesPerEpoch).toBe(3);
  expect(linesOf(0).toSorted((a, b) => a - b)).toEqual(examples.map(({ line }) => line));
  expect(linesOf(1)).not.toEqual(linesOf(0));
  expect(linesOf(1)).toEqual(linesOf(1));
});

test('the longest row is in the first batch of the first epoch, whatever the seed', () => {
  for (let shuffleSeed = 0; shuffleSeed < 20; shuffleSeed++) {
    const rows = [...examples.slice(0, 6), example(9, 99), ...examples.slice(6)];
    const source = trainingBatches(rows, { ...options, shuffleSeed });
    const first = source.batches(0)[0];
    expect([first.length, first.inputIds[0], first.batchSize]).toEqual([9, 99, 4]);
    expect(source.batches(0)).toEqual(source.batches(0));
  }
});

test('without shuffling rows come as in the file', () => {
  const [first] = trainingBatches(examples, { ...options, shuffleSeed: null }).batches(3);
  expect(first.inputIds[0]).toBe(1);
  expect(evaluationBatches(examples, options).batches(0)[2].batchSize).toBe(2);
});

test('packing loses no trained token', () => {
  const apart = trainingBatches(examples, options);
  const packed = trainingBatches(examples, { ...options, packedLength: 8 });
  const trained = (source: typeof apart) =>
    source.batches(0).reduce((sum, batch) => sum + source.trainedTokens(batch), 0);
  expect(trained(packed)).toBe(trained(apart));
  expect(packed.batchesPerEpoch).toBeLessThan(apart.batchesPerEpoch);
});

test('a split keeps every example on one side', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 2, max: 50 }),
      fc.oneof(fc.double({ min: 0, max: 0.99, noNaN: true }), fc.integer({ min: 1, max: 60 })),
      fc.nat(),
      (count, share, seed) => {
        const all = Array.from({ length: count }, (_, i) => i);
        const { kept, held } = splitExamples(all, share, seed);
        expect([...kept, ...held].toSorted((a, b) => a - b)).toEqual(all);
        const wanted = share < 1 ? Math.round(share * count) : share;
        expect(held).toHaveLength(Math.min(count, wanted));
      },
    ),
  );
});
