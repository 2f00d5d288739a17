// The control block in the first page of the memory: what the caller writes before a kernel runs.
// Kept in step with src/engine/control.ts. Words that different threads write lie on cache lines of their own.
const NEXT_CHUNK: usize = 128;
const CHUNKS: usize = 256;
const SHARED_SCRATCH: usize = 260;
const THREAD_SCRATCH: usize = 264;
const THREAD_SCRATCH_BYTES: usize = 268;
const INTEGERS: usize = 320;
const FLOATS: usize = 512;

/** A chunk nobody else has; at or past the end when none is left. Chunks are independent outputs. */
export function nextChunk(): i32 {
  return atomic.add<i32>(NEXT_CHUNK, 1);
}

/** How many chunks the operation is cut into. */
export function chunkCount(): i32 {
  return load<i32>(CHUNKS);
}

export function integer(index: i32): i32 {
  return load<i32>(INTEGERS + ((<usize>index) << 2));
}

/** The address of a tensor's first element, or 0 for an absent tensor. */
export function pointer(index: i32): usize {
  return load<usize>(INTEGERS + ((<usize>index) << 2));
}

export function float(index: i32): f32 {
  return load<f32>(FLOATS + ((<usize>index) << 2));
}

/** Scratch that all threads see. */
export function sharedScratch(): usize {
  return load<usize>(SHARED_SCRATCH);
}

/** Scratch of one thread; 0 is the caller. */
export function threadScratch(thread: i32): usize {
  return load<usize>(THREAD_SCRATCH) + <usize>thread * load<usize>(THREAD_SCRATCH_BYTES);
}

/** Elements of one chunk of an elementwise kernel. */
export const CHUNK_ELEMENTS: i32 = 16384;

/** Rows of one chunk of the kernels that do little with each row. */
export const CHUNK_ROWS: i32 = 16;

/** One past the last element of a chunk over `total` elements. */
export function chunkEnd(chunk: i32, total: i32): i32 {
  return min(total, (chunk + 1) * CHUNK_ELEMENTS);
}
