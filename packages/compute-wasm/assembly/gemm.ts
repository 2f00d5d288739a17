// out [M, N] = alpha op(a) op(b) + beta out (+ bias), in two kernels: `packA` lays the whole of op(a)
// out as panels once, then every chunk of `gemm` packs its own columns of op(b), a block of k at a
// time, and runs the inner kernel. An element is summed in the same order whatever the chunks are.
import {
  chunkCount,
  float,
  integer,
  nextChunk,
  pointer,
  sharedScratch,
  threadScratch,
} from './control';
import { packStraight, packTransposed } from './pack';
import { COLUMNS, productTile, ROWS } from './product-tile';
import { denseAddress, KIND_F32, weightKind, widen } from './weight';

/** Depth of a block of k; a panel of 8 columns takes 16 KB, one of 16 takes 32: it stays in the L1 cache. */
const DEPTH: i32 = 512;
/** Rows of packed A that are gone through before the next panel of B: they stay in the L2 cache. */
const ROWS_IN_CACHE: i32 = 120; // whole panels of 4, 5 and 6
/** A tile of sums, in whole cache lines. */
const SUMS_BYTES: usize = 384;

// Arguments of both kernels.
const A: i32 = 0;
const M: i32 = 1;
const K: i32 = 2;
const TRANSPOSE_A: i32 = 3;
/** Elements between two rows of a as it is stored. */
const A_STEP: i32 = 4;
// Arguments of `gemm` alone.
const N: i32 = 5;
const OUT: i32 = 6;
const BIAS: i32 = 7;
/** 1: b is stored `[N, K]`; 0: `[K, N]`. */
const TRANSPOSE_B: i32 = 8;
const CHUNK_ROWS: i32 = 9;
const CHUNK_COLUMNS: i32 = 10;
const ALPHA: i32 = 0;
const BETA: i32 = 1;

/** A chunk is one panel of ROWS rows, over all of k. */
export function packA(thread: i32): void {
  const a = pointer(A);
  const m = integer(M);
  const k = integer(K);
  const step = (<usize>integer(A_STEP)) << 2;
  const panelBytes = (<usize>(k * ROWS)) << 2;
  for (let panel = nextChunk(); panel < chunkCount(); panel = nextChunk()) {
    const row = panel * ROWS;
    const rows = min(ROWS, m - row);
    const to = sharedScratch() + <usize>panel * panelBytes;
    if (integer(TRANSPOSE_A)) packStraight(a + ((<usize>row) << 2), step, rows, k, to, ROWS);
    else packTransposed(a + <usize>row * step, step, rows, k, to, ROWS);
  }
}

/** Packs columns [column, column + columns) of rows [depth, depth + k) of op(b). */
function packB(depth: i32, k: i32, column: i32, columns: i32, to: usize, widened: usize): void {
  const transposed = integer(TRANSPOSE_B) != 0;
  const stored = transposed ? integer(K) : integer(N);
  const dense = weightKind() == KIND_F32;
  const panelBytes = <usize>(k * COLUMNS * 4);
  if (transposed) {
    for (let j = 0; j < columns; j += COLUMNS) {
      const rows = min(COLUMNS, columns - j);
      const first = <u32>(column + j) * stored + depth;
      if (dense) packTransposed(denseAddress(first), (<usize>stored) << 2, rows, k, to, COLUMNS);
      else {
        for (let row = 0; row < rows; row++)
          widen(first + <u32>row * stored, k, widened + ((<usize>(row * k)) << 2));
        packTransposed(widened, (<usize>k) << 2, rows, k, to, COLUMNS);
      }
      to += panelBytes;
    }
    return;
  }
  if (dense) {
    for (let j = 0; j < columns; j += COLUMNS) {
      const from = denseAddress(<u32>depth * stored + column + j);
      packStraight(from, (<usize>stored) << 2, min(COLUMNS, columns - j), k, to, COLUMNS);
      to += panelBytes;
    }
    return;
  }
  for (let p = 0; p < k; p++) {
    widen(<u32>(depth + p) * stored + column, columns, widened);
    for (let j = 0; j < columns; j += COLUMNS)
      packStraight(
        widened + ((<usize>j) << 2),
        0,
        min(COLUMNS, columns - j),
        1,
        to + <usize>(j / COLUMNS) * panelBytes + <usize>(p * COLUMNS * 4),
        COLUMNS,
      );
  }
}

/** Moves a tile [ROWS, COLUMNS] of sums into `out`; beta 0 does not look at what `out` held. */
function finish(
  sums: usize,
  out: usize,
  step: usize,
  rows: i32,
  columns: i32,
  bias: usize,
  alpha: f32,
  beta: f32,
): void {
  if (columns == COLUMNS) {
    for (let row = 0; row < rows; row++) {
      for (let at: usize = 0; at < <usize>(COLUMNS * 4); at += 16) {
        let value = f32x4.mul(v128.load(sums + at), f32x4.splat(alpha));
        if (bias) value = f32x4.add(value, v128.load(bias + at));
        if (beta != 0) value = f32x4.add(value, f32x4.mul(v128.load(out + at), f32x4.splat(beta)));
        v128.store(out + at, value);
      }
      sums += COLUMNS * 4;
      out += step;
    }
    return;
  }
  for (let row = 0; row < rows; row++) {
    for (let j: usize = 0; j < <usize>columns; j++) {
      let value = load<f32>(sums + (j << 2)) * alpha;
      if (bias) value += load<f32>(bias + (j << 2));
      if (beta != 0) value += load<f32>(out + (j << 2)) * beta;
      store<f32>(out + (j << 2), value);
    }
    sums += COLUMNS * 4;
    out += step;
  }
}

/** Scratch of a thread: a tile of sums, the packed columns, and a place to widen into. */
export function gemm(thread: i32): void {
  const m = integer(M);
  const n = integer(N);
  const k = integer(K);
  const chunkRows = integer(CHUNK_ROWS);
  const chunkColumns = integer(CHUNK_COLUMNS);
  const across = (n + chunkColumns - 1) / chunkColumns;
  const sums = threadScratch(thread);
  const packedB = sums + SUMS_BYTES;
  const widened = packedB + <usize>(DEPTH * chunkColumns * 4);
  for (let chunk = nextChunk(); chunk < chunkCount(); chunk = nextChunk()) {
    const column = (chunk % across) * chunkColumns;
    const columns = min(chunkColumns, n - column);
    const firstRow = (chunk / across) * chunkRows;
    const endRow = min(m, firstRow + chunkRows);
    let depth = 0;
    // Once at least: with k = 0 the sums are 0.
    do {
      const deep = min(DEPTH, k - depth);
      packB(depth, deep, column, columns, packedB, widened);
      for (let row = firstRow; row < endRow; row += ROWS_IN_CACHE)
        multiply(
          row,
          min(endRow, row + ROWS_IN_CACHE),
          column,
          columns,
          depth,
          deep,
          packedB,
          sums,
        );
      depth += DEPTH;
    } while (depth < k);
  }
}

function multiply(
  firstRow: i32,
  endRow: i32,
  column: i32,
  columns: i32,
  depth: i32,
  deep: i32,
  packedB: usize,
  sums: usize,
): void {
  const n = integer(N);
  const k = integer(K);
  const step = (<usize>n) << 2;
  const panelBytes = <usize>(deep * COLUMNS * 4);
  const alpha = float(ALPHA);
  const beta: f32 = depth == 0 ? float(BETA) : 1;
  for (let j = 0; j < columns; j += COLUMNS) {
    const b = packedB + <usize>(j / COLUMNS) * panelBytes;
    const bias = depth == 0 && pointer(BIAS) ? pointer(BIAS) + ((<usize>(column + j)) << 2) : 0;
    for (let row = firstRow; row < endRow; row += ROWS) {
      const a = sharedScratch() + ((<usize>row * k + <usize>depth * ROWS) << 2);
      productTile(a, b, deep, sums);
      finish(
        sums,
        pointer(OUT) + <usize>row * step + ((<usize>(column + j)) << 2),
        step,
        min(ROWS, endRow - row),
        min(COLUMNS, columns - j),
        bias,
        alpha,
        beta,
      );
    }
  }
}
