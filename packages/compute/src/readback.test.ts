import fc from 'fast-check';
import { expect, test, vi } from 'vitest';
import { createReferenceBackend, Readback } from './index.js';

const setup = () => {
  const backend = createReferenceBackend();
  const read = vi.spyOn(backend, 'read');
  return { backend, read, readback: new Readback(backend) };
};

test('values come where they were asked for, whatever the sizes and however often', async () => {
  const windows = fc.array(
    fc.array(fc.integer({ min: 1, max: 900 }), { minLength: 1, maxLength: 5 }),
    {
      minLength: 1,
      maxLength: 6,
    },
  );
  await fc.assert(
    fc.asyncProperty(windows, async (all) => {
      const { backend, read, readback } = setup();
      for (const sizes of all) {
        const places = sizes.map((size) => readback.reserve(size));
        for (const [i, { tensor }] of places.entries())
          backend.ops.fill({ out: tensor, value: i + 1 });
        await readback.flush();
        for (const [i, { values }] of places.entries())
          expect([...(await values)]).toEqual(Array(sizes[i]).fill(i + 1));
      }
      // The same windows once more: each is one read, and nothing is allocated.
      const live = backend.memory().live;
      read.mockClear();
      const total = (sizes: readonly number[]) => sizes.reduce((sum, size) => sum + size, 0);
      const largest = all.reduce((a, b) => (total(b) > total(a) ? b : a));
      for (const sizes of [largest, largest]) {
        for (const size of sizes) readback.reserve(size);
        await readback.flush();
      }
      expect(read.mock.calls.length).toBeLessThanOrEqual(3);
      read.mockClear();
      for (const size of largest) readback.reserve(size);
      await readback.flush();
      expect(read).toHaveBeenCalledTimes(1);
      expect(backend.memory().live).toBeLessThanOrEqual(2 * live);
      readback.dispose();
      expect(backend.memory().live).toBe(0);
    }),
    { numRuns: 40 },
  );
});

test('room that was prepared is filled without growing: one read from the first time on', async () => {
  const { backend, read, readback } = setup();
  for (const sizes of [[3, 4, 1], [1], [20, 1]]) {
    readback.prepare(sizes.reduce((sum, size) => sum + size, 0));
    const live = backend.memory().live;
    const places = sizes.map((size) => {
      const place = readback.reserve(size);
      readback.prepare(99); // places were given away: they stay where they are
      return place;
    });
    expect(backend.memory().live).toBe(live);
    for (const [i, { tensor }] of places.entries()) backend.ops.fill({ out: tensor, value: i });
    await readback.flush();
    for (const [i, { values }] of places.entries())
      expect([...(await values)]).toEqual(Array(sizes[i]).fill(i));
    expect(read).toHaveBeenCalledTimes(1);
    read.mockClear();
  }
  expect(backend.memory().live).toBe(4 * 21);
});

test('nothing reserved: nothing is read; what was cleared is not read either', async () => {
  const { read, readback } = setup();
  await readback.flush();
  readback.reserve(3);
  readback.clear();
  await readback.flush();
  expect(read).not.toHaveBeenCalled();
});

test('a read that fails rejects the flush and everything that waits', async () => {
  const { read, readback } = setup();
  const places = [readback.reserve(1), readback.reserve(2)];
  read.mockRejectedValue(new Error('device lost'));
  await expect(readback.flush()).rejects.toThrow('device lost');
  for (const { values } of places) await expect(values).rejects.toThrow('device lost');
  read.mockRestore();
  const { tensor, values } = readback.reserve(1);
  expect(tensor.size).toBe(1);
  await readback.flush();
  expect((await values).length).toBe(1);
});
