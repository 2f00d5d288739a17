import { createReferenceBackend, type Tensor } from '@qlorajs/compute';
import { expect, test } from 'vitest';
import { createMemoryStore, createPager, type PageStore } from '../src/index.js';

const PAGE = [{ dtype: 'f32', shape: [4] }] as const;

function setup(budget: number, store?: PageStore) {
  const backend = createReferenceBackend();
  const pager = createPager(backend, { budget, store });
  const pages = ['a', 'b', 'c'].map((label) => pager.create(label, PAGE));
  const fill = async (i: number, value: number) => {
    const [tensor] = await pager.use(pages[i]!, 'overwrite');
    backend.ops.fill({ out: tensor!, value });
    pager.release(pages[i]!);
  };
  const first = async (i: number) => (await pager.read(pages[i]!))[0]![0];
  return { backend, pager, pages, fill, first };
}

test('only what changed is copied back, and pages that did not change go first', async () => {
  const { pager, pages, fill, first } = setup(32);
  const look = async (i: number) => {
    await pager.use(pages[i]!, 'read');
    pager.release(pages[i]!);
  };
  await fill(0, 1);
  await fill(1, 2);
  await look(0);
  await fill(2, 3); // b goes: it was not used for longest
  expect(pager.stats).toEqual({ residentBytes: 32, bytesIn: 0, bytesOut: 16, evictions: 1 });
  await look(1); // a goes
  await look(0); // b goes, unchanged, though c was not used for longer
  await look(2); // c is there
  expect(pager.stats).toEqual({ residentBytes: 32, bytesIn: 32, bytesOut: 32, evictions: 3 });
  await look(1); // a goes, unchanged
  expect(pager.stats).toEqual({ residentBytes: 32, bytesIn: 48, bytesOut: 32, evictions: 4 });
  expect([await first(0), await first(1), await first(2)]).toEqual([1, 2, 3]);
});

test('pages in use stay, and the next one is refused by name', async () => {
  const { pager, pages } = setup(32);
  await pager.use(pages[0]!, 'read');
  await pager.use(pages[1]!, 'read');
  await expect(pager.use(pages[2]!, 'read')).rejects.toMatchObject({
    code: 'PAGER_BUDGET',
    message: expect.stringMatching(/no room for page c of 16 bytes: .* 32 of a budget of 32/),
  });
  pager.prefetch(pages[2]!); // No room is no error here.
  pager.release(pages[0]!);
  await pager.use(pages[2]!, 'read');
});

test('a page that is larger than the budget is refused when it is made', () => {
  const { pager } = setup(32);
  expect(() => pager.create('large', [{ dtype: 'f32', shape: [9] }])).toThrowError(/large of 36/);
});

test('what is fetched ahead is there when it is used', async () => {
  const { pager, pages, fill } = setup(32);
  for (const i of [0, 1, 2]) await fill(i, i);
  await pager.use(pages[2]!, 'read');
  pager.prefetch(pages[0]!);
  await new Promise((resolve) => setTimeout(resolve, 0)); // Its copy back had to arrive first.
  const { bytesIn } = pager.stats;
  expect(bytesIn).toBe(16);
  await pager.use(pages[0]!, 'read');
  expect(pager.stats.bytesIn).toBe(bytesIn);
});

test('a discarded page costs no copy, and reads as zeros', async () => {
  const { pager, pages, fill, first } = setup(16);
  await fill(0, 7);
  pager.discard(pages[0]!);
  await fill(1, 8);
  expect(pager.stats.bytesOut).toBe(0);
  expect(await first(0)).toBe(0);
});

test('gives room to the backend, and takes adopted tensors over', async () => {
  const backend = createReferenceBackend({ memoryLimit: 64 });
  const pager = createPager(backend);
  const adopted: Tensor[] = [5, 6].map((value) => {
    const tensor = backend.empty('f32', [4]);
    backend.ops.fill({ out: tensor, value });
    return tensor;
  });
  const pages = adopted.map((tensor, i) => pager.adopt(`adopted ${i}`, [tensor]));
  const large = backend.empty('f32', [12]);
  expect(backend.memory().live).toBe(64);
  expect(pager.stats).toMatchObject({ evictions: 1, residentBytes: 16 });
  expect((await pager.read(pages[0]!))[0]).toEqual(new Float32Array(4).fill(5));
  await pager.use(pages[1]!, 'read');
  expect(() => backend.empty('f32', [1])).toThrowError(/no room/);
  await expect(pager.use(pages[0]!, 'read')).rejects.toMatchObject({
    code: 'COMPUTE_OUT_OF_MEMORY',
  });
  backend.free(large);
  expect(await backend.read((await pager.use(pages[0]!, 'read'))[0]!)).toEqual(
    new Float32Array(4).fill(5),
  );
  pager.dispose();
  expect(backend.memory().live).toBe(0);
});

test('a store that fails is heard of by whoever uses the page', async () => {
  const store = { ...createMemoryStore(), put: () => Promise.reject(new Error('disk full')) };
  const { pager, pages, fill } = setup(16, store);
  await fill(0, 1);
  await fill(1, 2); // a is moved out, in vain
  await expect(pager.use(pages[0]!, 'read')).rejects.toThrowError('disk full');
});
