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
