import { CHUNK_ELEMENTS, chunkCount, chunkEnd, integer, nextChunk, pointer } from './control';
import { decodeNf4 } from './nf4';

/** Integers: out, elements. */
export function dequantizeNf4(thread: i32): void {
  const total = integer(1);
  for (let chunk = nextChunk(); chunk < chunkCount(); chunk = nextChunk()) {
    const start = chunk * CHUNK_ELEMENTS;
    decodeNf4(start, chunkEnd(chunk, total) - start, pointer(0) + ((<usize>start) << 2));
  }
}
