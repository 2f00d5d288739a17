import { createReferenceBackend } from '@qlorajs/compute';
import { expect, test } from 'vitest';
import { arrayOf, readBack } from './page-data.js';

test('every half that is a number comes back with its bits', async () => {
  const backend = createReferenceBackend();
  const bits = Uint16Array.from({ length: 65_536 }, (_, i) => i).filter(
    (each) => (each & 0x7c00) !== 0x7c00 || (each & 0x3ff) === 0,
  );
  const tensor = backend.empty('f16', [bits.length]);
  backend.write(tensor, bits);
  const bytes = await readBack(backend, tensor);
  expect(arrayOf('f16', bytes)).toEqual(bits);
});

test('bytes that do not lie on an element are copied first', () => {
  const bytes = Uint8Array.of(9, 1, 0, 2, 0).subarray(1);
  expect([...(arrayOf('f16', bytes) as Uint16Array)]).toEqual([1, 2]);
});
