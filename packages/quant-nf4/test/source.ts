import type { BitsandbytesEntry, BitsandbytesSource } from '../src/index.js';

/** A checkpoint of these entries, whose bytes start at an odd offset, as a file's may. */
export function sourceOf(entries: Readonly<Record<string, BitsandbytesEntry>>): BitsandbytesSource {
  return {
    tensors: new Map(Object.entries(entries)),
    async readBytes(name) {
      const { data } = entries[name]!;
      const bytes = new Uint8Array(data.byteLength + 1).subarray(1);
      bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
      return bytes;
    },
  };
}
