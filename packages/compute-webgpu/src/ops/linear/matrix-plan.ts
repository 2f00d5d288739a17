import type { Engine } from '../../engine.js';
import { type MatrixTile, workgroupBytes } from '../../wgsl/matrix-gemm.js';

/** Sizes of a product, and how many of them are computed at one time. */
interface ProductSizes {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly bAlongK: boolean;
  readonly copies: number;
}

/** How a product on subgroup matrices is cut up. */
export interface MatrixPlan {
  readonly tile: MatrixTile;
  /** Tiles down and across, and parts of k. */
  readonly groups: readonly [number, number, number];
  /** Length of a part of k. */
  readonly span: number;
  /** Rows of A that the tiles cover. */
  readonly paddedRows: number;
}

const tileOf = (
  [rows, columns, depth]: readonly [number, number, number],
  [subgroupRows, subgroupColumns]: readonly [number, number],
): MatrixTile => ({ rows, columns, depth, subgroupRows, subgroupColumns });

/** The fastest of 60 tiles on an H200 where there are enough of it: 245 to 280 TFLOP/s. */
const WIDE = tileOf([128, 160, 64], [32, 80]);
const LARGE = tileOf([128, 128, 64], [64, 32]);
/** 512 rows of Phi-2's 2560 columns make 128 of it: one for every multiprocessor. */
const MEDIUM = tileOf([128, 80, 64], [32, 80]);
/** For few rows: the loss head takes 64 at a time. */
const LOW = tileOf([64, 160, 32], [32, 80]);
/** What fits devices with little workgroup memory. */
const SMALL = tileOf([64, 64, 32], [32, 32]);

/** Speed of a tile's arithmetic, relative to the fastest. */
const RATES: readonly (readonly [MatrixTile, number])[] = [
  [WIDE, 1],
  [LARGE, 0.97],
  [MEDIUM, 0.8],
];

/** Workgroups that keep a large GPU busy, and the length of k that is worth one. */
const BUSY = 120;
const SPAN = 1024;
/** Multiprocessors of the GPU that tiles are chosen for; where there are fewer, rates decide. */
const PROCESSORS = 132;

function tiles({ rows, columns }: MatrixTile, m: number, n: number): number {
  return Math.ceil(m / rows) * Math.ceil(n / columns);
}

/** Time that a product takes with a tile, in arbitrary units: the processors work in waves. */
function timeWith(tile: MatrixTile, rate: number, count: number): number {
  return (Math.ceil(count / PROCESSORS) * tile.rows * tile.columns) / rate;
}

function tileFor(engine: Engine, { m, n, bAlongK, copies }: ProductSizes): MatrixTile {
  const fits = (tile: MatrixTile) => workgroupBytes(tile, bAlongK) <= engine.workgroupMemory;
  if (m <= 64 && n >= LOW.columns && fits(LOW)) return LOW;
  if (m <= 64 || n <= 64) return SMALL;
  const [best] = RATES.filter(([tile]) => fits(tile) && (n % tile.columns === 0 || tile === LARGE))
    .map(([tile, rate]) => [tile, timeWith(tile, rate, copies * tiles(tile, m, n))] as const)
    .sort(([, a], [, b]) => a - b);
  return best?.[0] ?? SMALL;
}

/** Chooses the tile by the size of the product, and parts of k where there are few tiles. */
export function matrixPlan(engine: Engine, sizes: ProductSizes): MatrixPlan {
  const { m, n, k, copies } = sizes;
  const tile = tileFor(engine, sizes);
  const count = copies * tiles(tile, m, n);
  const wanted = Math.min(Math.round(BUSY / count), Math.floor(k / SPAN));
  const span = Math.ceil(k / Math.max(1, wanted) / tile.depth) * tile.depth;
  const down = Math.ceil(m / tile.rows);
  return {
    tile,
    groups: [down, Math.ceil(n / tile.columns), Math.ceil(k / span)],
    span,
    paddedRows: down * tile.rows,
  };
}
