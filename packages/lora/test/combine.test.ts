import { describe, expect, test } from 'vitest';
import { combineAdapters, type PeftAdapterFiles, readPeftAdapter } from '../src/index.js';
import { fixtureFolder } from './fixture-folder.js';

const read = (name: string) => readPeftAdapter(fixtureFolder(`combine/${name}`));

/** scaling-free product B A of every module. */
function products({ tensors }: PeftAdapterFiles): Map<string, Float64Array> {
  const result = new Map<string, Float64Array>();
  for (const [key, a] of tensors) {
    if (!key.endsWith('.lora_A.weight')) continue;
    const b = tensors.get(key.replace('.lora_A.', '.lora_B.'))!;
    const [rank, columns] = a.shape;
    const product = new Float64Array(b.shape[0] * columns);
    for (let row = 0; row < b.shape[0]; row++)
      for (let k = 0; k < rank; k++)
        for (let i = 0; i < columns; i++)
          product[row * columns + i] += b.values[row * rank + k] * a.values[k * columns + i];
    result.set(key, product);
  }
  return result;
}

const CASES = [
  ['linear', ['one', 'two'], { weights: [0.7, -0.4], type: 'linear' }],
  ['cat', ['one', 'three'], { weights: [0.5, 1.5], type: 'cat' }],
  ['svd', ['one', 'two', 'three'], { weights: [1, 0.5, -0.75], type: 'svd' }],
  ['svd-3', ['one', 'two'], { weights: [0.6, 0.4], type: 'svd', svdRank: 3 }],
] as const;

describe.each(CASES)('%s, as add_weighted_adapter', (name, parts, options) => {
  test('rank, alpha, targets and every product B A', async () => {
    const wanted = await read(name);
    const combined = combineAdapters(await Promise.all(parts.map(read)), options);
    expect(combined.config.r).toBe(wanted.config.r);
    expect(combined.config.loraAlpha).toBe(wanted.config.loraAlpha);
    expect([...combined.config.targetModules].sort()).toEqual(
      [...wanted.config.targetModules].sort(),
    );
    expect([...combined.tensors.keys()].sort()).toEqual([...wanted.tensors.keys()].sort());
    for (const [key, { shape }] of wanted.tensors)
      expect(combined.tensors.get(key)?.shape).toEqual(shape);
    const ours = products(combined);
    for (const [key, product] of products(wanted)) {
      const largest = product.reduce((most, each) => Math.max(most, Math.abs(each)), 0);
      const off = product.reduce(
        (most, each, i) => Math.max(most, Math.abs(each - ours.get(key)![i])),
        0,
      );
      expect(largest).toBeGreaterThan(0.01);
      expect(off, key).toBeLessThan(2e-6 * Math.max(1, largest));
    }
  });

  if (name !== 'svd' && name !== 'svd-3')
    test('A and B themselves', async () => {
      const wanted = await read(name);
      const combined = combineAdapters(await Promise.all(parts.map(read)), options);
      for (const [key, { values }] of wanted.tensors)
        for (const [i, value] of combined.tensors.get(key)!.values.entries())
          expect(Math.abs(value - values[i])).toBeLessThan(1e-6);
    });
});

test('svd of full rank is the sum that cat gives', async () => {
  const parts = await Promise.all(['one', 'two', 'three'].map(read));
  const weights = [0.3, -2, 1];
  const exact = products(combineAdapters(parts, { weights, type: 'cat' }));
  const svd = products(combineAdapters(parts, { weights, type: 'svd', svdRank: 12 }));
  for (const [key, product] of exact)
    for (const [i, value] of product.entries())
      expect(Math.abs(value - svd.get(key)![i])).toBeLessThan(1e-6);
});

test('what cannot be combined says why', async () => {
  const [one, three] = [await read('one'), await read('three')];
  const attempt = (options: Parameters<typeof combineAdapters>[1], parts = [one, three]) =>
    expect(() => combineAdapters(parts, options));
  attempt({ weights: [1, 1], type: 'linear' }).toThrowError(/one rank .* got 4, 2; use svd or cat/);
  attempt({ weights: [1], type: 'cat' }).toThrowError(/2 adapters and 1 weights/);
  const regular = { ...one, config: { ...one.config, targetModules: 'q_.*' } };
  attempt({ weights: [1, 1], type: 'cat' }, [regular, three]).toThrowError(/regular expressions/);
});

test('trained token rows are averaged', async () => {
  const files = await readPeftAdapter(fixtureFolder('tokens-untied'));
  const doubled = {
    ...files,
    tensors: new Map(
      [...files.tensors].map(([key, { shape, values }]) => [
        key,
        { shape, values: values.map((each) => 2 * each) },
      ]),
    ),
  };
  const { tensors } = combineAdapters([files, doubled], { weights: [3, 1], type: 'cat' });
  for (const [key, { values }] of files.tensors)
    if (!key.includes('.lora_'))
      for (const [i, value] of values.entries())
        expect(tensors.get(key)!.values[i]).toBeCloseTo(1.25 * value, 6);
  const other = { ...doubled, config: { ...files.config, trainableTokenIndices: [1] } };
  expect(() => combineAdapters([files, other], { weights: [1, 1], type: 'cat' })).toThrowError(
    /rows of different tokens/,
  );
});
