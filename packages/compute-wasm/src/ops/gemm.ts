import type { LinearWeight, Tensor } from '@qlorajs/compute';
import type { Engine } from '../engine/engine.js';
import { at } from './context.js';
import { withWeight } from './weight.js';

/** out `[m, n]` = alpha op(a) op(b) + beta out (+ bias). */
export interface Gemm {
  readonly op: string;
  readonly a: Tensor;
  readonly b: LinearWeight;
  readonly out: Tensor;
  readonly bias: Tensor | null;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  /** a is stored `[k, m]`. */
  readonly transposeA: boolean;
  /** b is stored `[n, k]`. */
  readonly transposeB: boolean;
  readonly alpha: number;
  readonly beta: number;
}

/** Kept in step with assembly/gemm.ts. */
const DEPTH = 512;
const SUMS_BYTES = 384;
/** Columns of b that a chunk packs, at most. */
const MOST_COLUMNS = 256;
/** Chunks are not cut below this. */
const LEAST_COLUMNS = 16;
const LEAST_ROWS = 48;
/** Chunks for each thread, so that all are through at about the same time. */
const CHUNKS_A_THREAD = 4;
/** Rows that are whole panels of any tile. */
const WHOLE_PANELS = 60;
/** Bytes of packed a; a larger one is taken in several goes over the rows. */
const PACKED_BYTES = 16 * 2 ** 20;

const up = (value: number, multiple: number) => Math.ceil(value / multiple) * multiple;

/** What a chunk does beside multiplying, as a share of that: packing b, and reading a again. */
const overhead = (rows: number, columns: number) => 9 / rows + 3 / columns;

/** How the output is cut. Sums do not depend on it, so it may depend on the number of threads. */
function cut(engine: Engine, m: number, n: number): { rows: number; columns: number } {
  const enough = engine.threads === 1 ? 1 : CHUNKS_A_THREAD * engine.threads;
  const { tile } = engine;
  let rows = up(m, tile.rows);
  let columns = Math.min(MOST_COLUMNS, up(n, tile.columns));
  while (Math.ceil(m / rows) * Math.ceil(n / columns) < enough) {
    const halfRows = rows > LEAST_ROWS ? up(rows / 2, tile.rows) : 0;
    const halfColumns = columns > LEAST_COLUMNS ? up(columns / 2, tile.columns) : 0;
    if (halfRows === 0 && halfColumns === 0) break;
    if (overhead(halfRows, columns) < overhead(rows, halfColumns)) rows = halfRows;
    else columns = halfColumns;
  }
  return { rows, columns };
}

export function gemm(engine: Engine, args: Gemm): void {
  const { m, n, k } = args;
  if (m === 0 || n === 0) return;
  const fitting = Math.floor(PACKED_BYTES / (4 * Math.max(1, k)) / WHOLE_PANELS) * WHOLE_PANELS;
  const most = Math.max(2 * WHOLE_PANELS, fitting);
  for (let row = 0; row < m; row += most) multiplyRows(engine, args, row, Math.min(most, m - row));
}

function multiplyRows(engine: Engine, args: Gemm, row: number, rows: number): void {
  const { m, n, k, transposeA, transposeB, bias } = args;
  const panels = Math.ceil(rows / engine.tile.rows);
  const chunk = cut(engine, rows, n);
  const packed = 4 * DEPTH * chunk.columns;
  const widened = 4 * Math.max(engine.tile.columns * DEPTH, chunk.columns);
  engine.reserveScratch(4 * panels * engine.tile.rows * k, SUMS_BYTES + packed + widened);
  const step = transposeA ? m : k;
  const a = at(engine, args.a) + 4 * row * (transposeA ? 1 : step);
  const left = [a, rows, k, transposeA ? 1 : 0, step];
  engine.run('packA', { chunks: panels, integers: left, work: rows * k });
  const out = at(engine, args.out) + 4 * row * n;
  const right = [n, out, at(engine, bias), transposeB ? 1 : 0, chunk.rows, chunk.columns];
  const scales = [args.alpha, args.beta];
  engine.run('gemm', {
    chunks: Math.ceil(rows / chunk.rows) * Math.ceil(n / chunk.columns),
    ...withWeight(engine, args.op, args.b, [...left, ...right], scales),
    work: rows * n * k,
  });
}
