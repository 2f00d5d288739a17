import type { Backend } from '../backend.js';

/** Of a tensor whose bytes end in the midst of a word of 4 and of a cell of 3. */
const SIZE = 27;
/** More than the 12 after which words of 4 and cells of 3 meet again. */
const MOST = 13;

/**
 * Writes up to 13 bytes at every offset in 12 of a view that begins in the midst of a word: engines keep
 * several bytes in a word or a cell, of which a write must leave the others alone.
 *
 * @returns the writes after which the tensor, or a view of it, held something else than it should
 */
export async function badByteWrites(backend: Backend): Promise<string[]> {
  const bad: string[] = [];
  for (let offset = 0; offset < 12; offset++)
    for (let length = 0; length <= MOST; length++) {
      const bytes = Uint8Array.from({ length }, (_, i) => 255 - 17 * i);
      const tensor = backend.empty('u8', [SIZE]);
      backend.write(tensor, new Uint8Array(SIZE).fill(7));
      backend.write(backend.view(tensor, 1, [SIZE - 1]), bytes, offset);
      const expected = new Uint8Array(SIZE).fill(7);
      expected.set(bytes, offset + 1);
      const whole = await backend.readIntegers(tensor);
      const part = await backend.readIntegers(backend.view(tensor, 3, [9]));
      const same = `${whole}` === `${expected}` && `${part}` === `${expected.slice(3, 12)}`;
      if (!same) bad.push(`${length} bytes from ${offset} on: ${whole}, not ${expected}`);
      backend.free(tensor);
    }
  return bad;
}
