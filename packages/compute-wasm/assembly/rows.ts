import { CHUNK_ROWS, chunkCount, integer, nextChunk, pointer } from './control';
import { widenHalves } from './half';
import { load4, store4 } from './simd';

// Integers: source, ids, out, count of ids, width, and 1 for a source in f16.
const SOURCE: i32 = 0;
const IDS: i32 = 1;
const OUT: i32 = 2;
const COUNT: i32 = 3;
const WIDTH: i32 = 4;
const IS_HALF: i32 = 5;

/** Columns of one chunk of a scatter: each element of `out` has one owner, who goes through the ids in order. */
const CHUNK_COLUMNS: i32 = 128;

function id(i: i32): i32 {
  return load<i32>(pointer(IDS) + ((<usize>i) << 2));
}

/** A chunk is CHUNK_ROWS rows of `out`. */
export function gatherRows(thread: i32): void {
  for (let chunk = nextChunk(); chunk < chunkCount(); chunk = nextChunk())
    gather(chunk * CHUNK_ROWS, min(integer(COUNT), (chunk + 1) * CHUNK_ROWS));
}

function gather(start: i32, end: i32): void {
  const width = integer(WIDTH);
  const bytes = (<usize>width) << 2;
  for (let row = start; row < end; row++) {
    const to = pointer(OUT) + <usize>row * bytes;
    const from = id(row);
    if (from < 0) memory.fill(to, 0, bytes);
    else if (integer(IS_HALF))
      widenHalves(pointer(SOURCE) + ((<usize>from * width) << 1), width, to);
    else memory.copy(to, pointer(SOURCE) + <usize>from * bytes, bytes);
  }
}

export function scatterRows(thread: i32): void {
  scatter(false);
}

export function scatterAddRows(thread: i32): void {
  scatter(true);
}

function scatter(add: bool): void {
  const width = integer(WIDTH);
  for (let chunk = nextChunk(); chunk < chunkCount(); chunk = nextChunk()) {
    const start = chunk * CHUNK_COLUMNS;
    const end = min(width, start + CHUNK_COLUMNS);
    for (let row = 0; row < integer(COUNT); row++) {
      if (id(row) < 0) continue;
      const from = pointer(SOURCE) + ((<usize>row * width) << 2);
      const to = pointer(OUT) + ((<usize>id(row) * width) << 2);
      for (let c = start; c < end; c += 4) {
        const at = (<usize>c) << 2;
        let v = load4(from + at, end - c);
        if (add) v = f32x4.add(load4(to + at, end - c), v);
        store4(to + at, end - c, v);
      }
    }
  }
}
