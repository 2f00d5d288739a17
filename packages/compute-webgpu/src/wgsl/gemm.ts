/** What a tiled product is made of; `p.m`, `p.n` and `p.k` are its sizes. */
export interface GemmParts {
  /**
   * Functions `loadA(m, k)`, `loadB(k, n)` and `store(m, n, value, part)`, where `part` counts the
   * parts of k; loads are in bounds.
   */
  readonly declarations: string;
  /** Whether elements of A that follow each other in memory run along k. */
  readonly aAlongK: boolean;
  readonly bAlongK: boolean;
}

/** Sizes of a workgroup's tile, and of the square of products that a thread keeps in registers. */
export interface GemmTile {
  readonly rows: number;
  readonly columns: number;
  readonly depth: number;
  readonly perThread: number;
  /** Whether a thread's columns lie apart, so that neighbouring threads write neighbours. */
  readonly spread?: boolean;
}

/** Large tiles do more arithmetic for every element they stage; thin ones fit an adapter's rank. */
const HUGE: GemmTile = { rows: 128, columns: 128, depth: 8, perThread: 8 };
const LARGE: GemmTile = { rows: 64, columns: 64, depth: 16, perThread: 4 };
/** For a short k, as an adapter's rank, where writing the result takes most of the time. */
const SHALLOW: GemmTile = { ...LARGE, spread: true };
const SMALL: GemmTile = { rows: 32, columns: 32, depth: 16, perThread: 4 };
const NARROW: GemmTile = { rows: 64, columns: 16, depth: 32, perThread: 2 };
const FLAT: GemmTile = { rows: 16, columns: 64, depth: 32, perThread: 2 };

export function tileKey({ rows, columns, spread }: GemmTile): string {
  return `${rows}x${columns}${spread ? ' spread' : ''}`;
}

/** How a product is cut up. */
export interface GemmPlan {
  readonly tile: GemmTile;
  /** Tiles across and down, and parts of k whose sums are added in a second step. */
  readonly groups: readonly [number, number, number];
}

/** Workgroups that keep a large GPU busy. */
const BUSY = 128;
/** Steps along k below which a part is not worth a workgroup. */
const SPAN = 128;
const SHORT = 32;

/**
 * @param canSplit whether k may be cut: a product with few outputs and a long k, as an adapter's,
 * would otherwise leave most of the GPU idle
 */
export function gemmPlan(m: number, n: number, k: number, canSplit: boolean): GemmPlan {
  const count = (tile: GemmTile) => Math.ceil(m / tile.rows) * Math.ceil(n / tile.columns);
  const tile =
    (k <= SHORT ? [SHALLOW] : [HUGE, LARGE]).find(
      (each) => m >= each.rows && n >= each.columns && count(each) >= 64,
    ) ?? (n <= 16 && m > 16 ? NARROW : m <= 16 && n > 16 ? FLAT : SMALL);
  const parts = Math.min(Math.ceil(BUSY / count(tile)), Math.floor(k / SPAN));
  return {
    tile,
    groups: [
      Math.ceil(n / tile.columns),
      Math.ceil(m / tile.rows),
      canSplit ? Math.max(1, parts) : 1,
    ],
  };
}

/** Keeps the threads that fill a tile along k off one memory bank. */
const PAD = 4;

/** The position inside a tile of its element `e`, in the order that memory has them. */
function place(alongK: boolean, width: number, depth: number): string {
  return alongK
    ? `let k = e % ${depth}u; let w = e / ${depth}u;`
    : `let w = e % ${width}u; let k = e / ${width}u;`;
}

function fill(
  tile: string,
  width: number,
  depth: number,
  threads: number,
  alongK: boolean,
  value: string,
): string {
  return /* wgsl */ `
    for (var e = local; e < ${width * depth}u; e += ${threads}u) {
      ${place(alongK, width, depth)}
      var value = 0.0;
      ${value}
      ${tile}[k * ${width + PAD}u + w] = value;
    }`;
}

/**
 * C = A B in f32: tiles of A and B go through workgroup memory, and every thread keeps a square of
 * products in registers (https://siboehm.com/articles/22/CUDA-MMM). Workgroup x is the tile's column,
 * y its row, z the part [z span, (z + 1) span) of k, with `span` in `p.span`.
 */
export function gemmBody(parts: GemmParts, tile: GemmTile): string {
  const { rows, columns, depth, perThread: t, spread = false } = tile;
  const across = columns / t;
  const threads = across * (rows / t);
  const columnAt = (j: number) => (spread ? j * across : j);
  const each = (count: number, text: (i: number) => string) =>
    Array.from({ length: count }, (_, i) => text(i)).join('\n');
  return /* wgsl */ `${parts.declarations}
var<workgroup> tileA: array<f32, ${depth * (rows + PAD)}>;
var<workgroup> tileB: array<f32, ${depth * (columns + PAD)}>;
@compute @workgroup_size(${threads})
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let firstRow = group.y * ${rows}u;
  let firstColumn = group.x * ${columns}u;
  let row = (local / ${across}u) * ${t}u;
  let column = (local % ${across}u) * ${spread ? 1 : t}u;
  ${each(t, (i) => `var c${i} = array<f32, ${t}>();`)}
  let end = min(p.k, (group.z + 1u) * p.span);
  for (var start = group.z * p.span; start < end; start += ${depth}u) {
    ${fill('tileA', rows, depth, threads, parts.aAlongK, 'if (firstRow + w < p.m && start + k < end) { value = loadA(firstRow + w, start + k); }')}
    ${fill('tileB', columns, depth, threads, parts.bAlongK, 'if (firstColumn + w < p.n && start + k < end) { value = loadB(start + k, firstColumn + w); }')}
    workgroupBarrier();
    for (var k = 0u; k < ${depth}u; k++) {
      let atA = k * ${rows + PAD}u + row;
      let atB = k * ${columns + PAD}u + column;
      ${each(t, (j) => `let b${j} = tileB[atB + ${columnAt(j)}u];`)}
      ${each(t, (i) => `let a${i} = tileA[atA + ${i}u];\n${each(t, (j) => `c${i}[${j}] += a${i} * b${j};`)}`)}
    }
    workgroupBarrier();
  }
  ${each(
    t,
    (i) => `if (firstRow + row + ${i}u < p.m) {
    ${each(t, (j) => `if (firstColumn + column + ${columnAt(j)}u < p.n) { store(firstRow + row + ${i}u, firstColumn + column + ${columnAt(j)}u, c${i}[${j}], group.z); }`)}
  }`,
  )}
}`;
}
