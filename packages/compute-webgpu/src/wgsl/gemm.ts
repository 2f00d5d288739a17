/** What a tiled product is made of; `p.m`, `p.n` and `p.k` are its sizes. */
export interface GemmParts {
  /** Functions `loadA(m, k)`, `loadB(k, n)` and `store(m, n, value)`; loads are in bounds. */
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
}

export const SMALL_TILE: GemmTile = { rows: 32, columns: 32, depth: 16, perThread: 4 };
export const LARGE_TILE: GemmTile = { rows: 64, columns: 64, depth: 16, perThread: 4 };

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
 * y its row.
 */
export function gemmBody(parts: GemmParts, tile: GemmTile): string {
  const { rows, columns, depth, perThread: t } = tile;
  const across = columns / t;
  const threads = across * (rows / t);
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
  let column = (local % ${across}u) * ${t}u;
  ${each(t, (i) => `var c${i} = array<f32, ${t}>();`)}
  for (var start = 0u; start < p.k; start += ${depth}u) {
    ${fill('tileA', rows, depth, threads, parts.aAlongK, 'if (firstRow + w < p.m && start + k < p.k) { value = loadA(firstRow + w, start + k); }')}
    ${fill('tileB', columns, depth, threads, parts.bAlongK, 'if (firstColumn + w < p.n && start + k < p.k) { value = loadB(start + k, firstColumn + w); }')}
    workgroupBarrier();
    for (var k = 0u; k < ${depth}u; k++) {
      let atA = k * ${rows + PAD}u + row;
      let atB = k * ${columns + PAD}u + column;
      ${each(t, (j) => `let b${j} = tileB[atB + ${j}u];`)}
      ${each(t, (i) => `let a${i} = tileA[atA + ${i}u];\n${each(t, (j) => `c${i}[${j}] += a${i} * b${j};`)}`)}
    }
    workgroupBarrier();
  }
  ${each(
    t,
    (i) => `if (firstRow + row + ${i}u < p.m) {
    ${each(t, (j) => `if (firstColumn + column + ${j}u < p.n) { store(firstRow + row + ${i}u, firstColumn + column + ${j}u, c${i}[${j}]); }`)}
  }`,
  )}
}`;
}

/** The tile for a product of this size, and the workgroups that cover it. */
export function gemmPlan(m: number, n: number): { tile: GemmTile; groups: [number, number] } {
  const tile = m <= 32 || n <= 32 ? SMALL_TILE : LARGE_TILE;
  return { tile, groups: [Math.ceil(n / tile.columns), Math.ceil(m / tile.rows)] };
}
