import { expect, test } from 'vitest';
import { OP_NAMES } from '../ops.js';
import { createReferenceBackend } from '../reference/backend.js';
import { checkCase, opCases } from '../testing.js';

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
