import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  collate,
  lengthGroupedOrder,
  pack,
  shuffledOrder,
  type TokenizedExample,
} from './index.js';

const example = (ids: number[], labels = ids, line = 1): TokenizedExample => ({
  inputIds: Int32Array.from(ids),
  labels: Int32Array.from(labels),
  line,
});

/** Examples whose tokens are all different, so that each can be followed. */
const examples = fc
  .array(fc.tuple(fc.integer({ min: 1, max: 12 }), fc.infiniteStream(fc.boolean())), {
    minLength: 1,
    maxLength: 25,
  })
  .map((shapes) => {
    let next = 1;
    return shapes.map(([length, trained], index) => {
      const ids = Array.from({ length }, () => next++);
      const flags = [...trained.take(length)];
      return example(
        ids,
        ids.map((id, at) => (flags[at] ? id : -100)),
        index + 1,
      );
    });
  });

describe('collate', () => {
  test('pads on the right, labels with -100', () => {
    const batch = collate([example([1, 2, 3], [-100, 2, 3]), example([4])], { padId: 9 });
    expect(batch).toEqual({
      inputIds: Int32Array.from([1, 2, 3, 4, 9, 9]),
      labels: Int32Array.from([-100, 2, 3, 4, -100, -100]),
      lengths: Int32Array.from([3, 1]),
      batchSize: 2,
      length: 3,
      trainedTokens: 2,
      lines: [[1], [1]],
    });
  });

  test('rounds the length up', () => {
    expect(collate([example([1, 2, 3])], { padId: 0, multipleOf: 8 }).length).toBe(8);
    expect(collate([example(Array(16).fill(1))], { padId: 0, multipleOf: 8 }).length).toBe(16);
  });

  test('keeps every example as it is, whatever the padding', () => {
    fc.assert(
      fc.property(examples, fc.integer({ min: 1, max: 9 }), (all, multipleOf) => {
        const batch = collate(all, { padId: 1, multipleOf });
        expect(batch.length % multipleOf).toBe(0);
        let trained = 0;
        for (const [row, { inputIds, labels }] of all.entries()) {
          const start = row * batch.length;
          expect(batch.lengths[row]).toBe(inputIds.length);
          expect(batch.inputIds.slice(start, start + inputIds.length)).toEqual(inputIds);
          expect(batch.labels.slice(start, start + inputIds.length)).toEqual(labels);
          const rest = batch.labels.slice(start + inputIds.length, start + batch.length);
          expect(rest.every((label) => label === -100)).toBe(true);
          trained += labels.slice(1).filter((label) => label !== -100).length;
        }
        expect(batch.trainedTokens).toBe(trained);
        expect(batch).not.toHaveProperty('positions');
      }),
    );
  });

  test('of nothing is an error', () => {
    expect(() => collate([], { padId: 0 })).toThrow('at least one example');
  });
});

describe('pack', () => {
  test('keeps every example whole, once, within the length', () => {
    fc.assert(
      fc.property(examples, fc.integer({ min: 12, max: 40 }), (all, length) => {
        const rows = pack(all, { length });
        expect(rows.every(({ inputIds }) => inputIds.length <= length)).toBe(true);
        expect(rows.flatMap(({ lines }) => lines).sort((a, b) => a - b)).toEqual(
          all.map(({ line }) => line),
        );
        for (const row of rows) {
          const documents = row.lines.map((line) => all[line - 1]!);
          expect([...row.inputIds]).toEqual(documents.flatMap(({ inputIds }) => [...inputIds]));
          const labels = documents.flatMap((each) => [-100, ...each.labels.subarray(1)]);
          expect([...row.labels]).toEqual(labels);
          for (const [index, first] of row.firstKeys.entries()) {
            expect(row.positions[index]).toBe(index - first);
            expect(row.positions[first]).toBe(0);
          }
          const starts = new Set(row.firstKeys);
          expect(starts.size).toBe(documents.length);
        }
      }),
    );
  });

  test('trains as many tokens as the examples do one by one', () => {
    fc.assert(
      fc.property(examples, (all) => {
        const packed = collate(pack(all, { length: 20 }), { padId: 0 });
        const apart = collate(all, { padId: 0 });
        expect(packed.trainedTokens).toBe(apart.trainedTokens);
      }),
    );
  });

  test('is best fit: a row that could be filled is filled', () => {
    const lengths = [6, 5, 4, 3, 2, 2];
    const rows = pack(
      lengths.map((length, index) => example(Array(length).fill(1), undefined, index + 1)),
      { length: 8 },
    );
    expect(rows.map(({ lines }) => lines)).toEqual([
      [1, 5],
      [2, 4],
      [3, 6],
    ]);
  });

  test('no two rows could be joined', () => {
    fc.assert(
      fc.property(examples, (all) => {
        const sizes = pack(all, { length: 16 }).map(({ inputIds }) => inputIds.length);
        const [smallest = 16, second = 16] = sizes.sort((a, b) => a - b);
        expect(smallest + second).toBeGreaterThan(16);
      }),
    );
  });

  test('collates with positions and first keys, padding included', () => {
    const rows = pack([example([1, 2]), example([3, 4, 5]), example([6])], { length: 4 });
    const batch = collate([...rows, example([7])], { padId: 0 });
    expect(batch.positions).toEqual(Int32Array.from([0, 1, 2, 0, 0, 1, 0, 0, 0, 0, 0, 0]));
    expect(batch.firstKeys).toEqual(Int32Array.from([0, 0, 0, 3, 0, 0, 2, 3, 0, 1, 2, 3]));
    expect(batch.lengths).toEqual(Int32Array.from([4, 2, 1]));
  });

  test('refuses an example that does not fit', () => {
    expect(() => pack([example([1, 2, 3], undefined, 7)], { length: 2 })).toThrow('line 7');
    expect(() => pack([example([])], { length: 2 })).toThrow('0 tokens');
  });
});

describe('shuffledOrder', () => {
  test('is a permutation, the same for the same seed and epoch', () => {
    fc.assert(
      fc.property(fc.nat(200), fc.integer(), fc.nat(5), (count, seed, epoch) => {
        const order = shuffledOrder(count, seed, epoch);
        expect(order.slice().sort()).toEqual(Int32Array.from({ length: count }, (_, i) => i));
        expect(shuffledOrder(count, seed, epoch)).toEqual(order);
      }),
    );
  });

  test('never changes between versions', () => {
    expect([...shuffledOrder(10, 42, 0)]).toEqual([9, 1, 8, 0, 6, 2, 4, 7, 3, 5]);
    expect([...shuffledOrder(10, 42, 1)]).toEqual([1, 4, 5, 0, 9, 6, 3, 2, 7, 8]);
    expect([...shuffledOrder(10, 43, 0)]).toEqual([5, 6, 9, 7, 2, 3, 1, 8, 0, 4]);
  });

  test('is fair: each value comes first about as often', () => {
    const first = new Int32Array(5);
    for (let seed = 0; seed < 5000; seed++) first[shuffledOrder(5, seed, 2)[0]!]!++;
    expect(Math.min(...first)).toBeGreaterThan(880);
    expect(Math.max(...first)).toBeLessThan(1120);
  });
});

test('rows of similar lengths come together, the longest first, and none is lost', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 100 }), { minLength: 1, maxLength: 200 }),
      fc.integer({ min: 1, max: 8 }),
      fc.nat(),
      (lengths, batchSize, seed) => {
        const order = lengthGroupedOrder(lengths, batchSize, seed, 0);
        expect([...order].toSorted((a, b) => a - b)).toEqual(lengths.map((_, i) => i));
        expect(lengths[order[0]!]).toBe(Math.max(...lengths));
        const size = batchSize * (Math.min(Math.floor(lengths.length / (batchSize * 4)), 50) || 1);
        for (let start = 0; start < lengths.length; start += size)
          for (let i = start + 2; i < Math.min(start + size, lengths.length); i++)
            expect(lengths[order[i]!]!).toBeLessThanOrEqual(lengths[order[i - 1]!]!);
        expect(lengthGroupedOrder(lengths, batchSize, seed, 0)).toEqual(order);
      },
    ),
  );
});
