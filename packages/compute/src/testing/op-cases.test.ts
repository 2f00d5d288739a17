import { expect, test } from 'vitest';
import { OP_NAMES } from '../ops.js';
import { createReferenceBackend } from '../reference/backend.js';
import { badByteWrites, checkCase, opCases } from '../testing.js';

test('every operation has cases, with names that differ', () => {
  const cases = opCases();
  expect(new Set(cases.map((each) => each.op))).toEqual(new Set(OP_NAMES));
  expect(new Set(cases.map((each) => each.name)).size).toBe(cases.length);
});

test('a backend that is off in one element is caught', async () => {
  const backend = createReferenceBackend();
  const honest = opCases().find((each) => each.op === 'matmul')!;
  const read = backend.read.bind(backend);
  const off = {
    ...backend,
    read: async (t: Parameters<typeof read>[0]) => {
      const values = await read(t);
      values[0] += 1e-3;
      return values;
    },
  };
  expect(await checkCase(backend, honest)).toEqual([]);
  expect(await checkCase(off, honest)).toHaveLength(1);
});

test('no case leaks memory', async () => {
  const backend = createReferenceBackend();
  for (const each of opCases().filter((one) => !one.name.includes('50295'))) {
    await each.run(backend);
    expect(backend.memory().live, each.name).toBe(0);
  }
});

test('a backend whose writes spill over is caught', async () => {
  const backend = createReferenceBackend();
  expect(await badByteWrites(backend)).toEqual([]);
  const write = backend.write.bind(backend);
  const spilling: typeof backend.write = (tensor, data, offset = 0) => {
    write(tensor, data, offset);
    const next = offset + data.length;
    if (data.length > 0 && next < tensor.size) write(tensor, Uint8Array.of(1), next);
  };
  expect((await badByteWrites({ ...backend, write: spilling })).length).toBeGreaterThan(100);
});
