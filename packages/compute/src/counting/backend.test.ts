import { expect, test } from 'vitest';
import { createCountingBackend } from '../index.js';
import { opCases } from '../testing.js';

test('counts what lives, what lived at the peak by label, and the work', () => {
  const backend = createCountingBackend();
  const a = backend.empty('f32', [2, 3], 'a');
  const b = backend.empty('f32', [4, 3], 'b');
  const out = backend.empty('f32', [2, 4], 'out');
  const form = { m: 2, n: 4, k: 3, transposeA: false, transposeB: true, alpha: 1, beta: 0 };
  backend.ops.matmul({ a, b, out, ...form });
  backend.free(b);
  backend.empty('u8', [5], 'codes');
  expect(backend.memory()).toEqual({ live: 61, peak: 104 });
  const { peakParts, multiplyAdds } = backend.counts();
  expect(Object.fromEntries(peakParts)).toEqual({ a: 24, b: 48, out: 32 });
  expect(multiplyAdds).toBe(24);
});

test('every case of every operation runs dry and leaves nothing behind', async () => {
  const backend = createCountingBackend();
  for (const each of opCases()) await each.run(backend);
  expect(backend.memory().live).toBe(0);
});

test('a limit is kept', () => {
  const backend = createCountingBackend({ memoryLimit: 10 });
  expect(() => backend.empty('f32', [3], 'x')).toThrowError(/no room for x of 12 bytes/);
});
