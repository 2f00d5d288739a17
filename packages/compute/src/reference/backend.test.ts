import { expect, test } from 'vitest';
import { createReferenceBackend, tensorFrom } from '../index.js';

test('counts live and peak bytes, and refuses a second free', () => {
  const backend = createReferenceBackend();
  const a = backend.empty('f32', [10]);
  const b = backend.empty('u8', [3]);
  backend.free(a);
  expect(backend.memory()).toEqual({ live: 3, peak: 43 });
  expect(() => backend.free(a)).toThrowError(/view or was freed/);
  backend.free(b);
  expect(backend.memory().live).toBe(0);
});

test('views share storage', async () => {
  const backend = createReferenceBackend();
  const a = tensorFrom(backend, [1, 2, 3, 4], [4]);
  const tail = backend.view(a, 2, [2]);
  backend.ops.fill({ out: tail, value: 9 });
  expect([...(await backend.read(a))]).toEqual([1, 2, 9, 9]);
  expect(() => backend.free(tail)).toThrowError();
});

test('widens f16 bits on write', async () => {
  const backend = createReferenceBackend();
  const half = backend.empty('f16', [4]);
  backend.write(half, Uint16Array.of(0x3c00, 0xc000, 0x0001, 0x7bff));
  expect([...(await backend.read(half))]).toEqual([1, -2, 2 ** -24, 65504]);
});

test('an allocation beyond the limit asks for room first, and is refused only then', () => {
  const backend = createReferenceBackend({ memoryLimit: 100 });
  const spare = [backend.empty('f32', [10]), backend.empty('f32', [10])];
  const asked: number[] = [];
  const end = backend.onShortage((bytes) => {
    asked.push(bytes);
    const tensor = spare.pop();
    if (tensor) backend.free(tensor);
    return tensor !== undefined;
  });
  backend.empty('f32', [20], 'wanted');
  expect(asked).toEqual([60, 20]);
  expect(backend.memory()).toEqual({ live: 80, peak: 80 });
  const more = () => backend.empty('f32', [6], 'more');
  expect(more).toThrowError(/no room for more of 24 bytes beside 80 in use: the limit is 100/);
  expect(asked).toEqual([60, 20, 4]);
  end();
  expect(more).toThrowError(expect.objectContaining({ code: 'COMPUTE_OUT_OF_MEMORY' }));
  expect(asked).toHaveLength(3);
});
