/** Sizes of a product on subgroup matrices: all multiples of 16. */
export interface MatrixTile {
  /** Of a workgroup's tile of the result. */
  readonly rows: number;
  readonly columns: number;
  /** Depth of a staged slice. */
  readonly depth: number;
  /** Of a subgroup's part of the tile. */
  readonly subgroupRows: number;
  readonly subgroupColumns: number;
}

/** A program of C = A B with f16 operands and f32 sums. */
export interface MatrixGemm {
  readonly tile: MatrixTile;
  /** B is `[n, k]` (a weight in the forward) rather than `[k, n]` (the same weight in the backward). */
  readonly bAlongK: boolean;
  /** Whether all sizes are multiples of the tile's: no bound needs to be checked while staging. */
  readonly whole: boolean;
  /** Whether workgroup memory is declared, and written, in vectors of eight halves. */
  readonly vectors: boolean;
  /** Text that gives the sum `value` at row `m` and column `n` to the output. */
  readonly store: string;
}

/** The directives that the program needs; tile positions depend on the subgroup, which is uniform. */
export const MATRIX_DIRECTIVES = `enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;
diagnostic(off, chromium.subgroup_matrix_uniformity);`;

const SUBGROUP = 32;
/** Halves that a row of a staged tile is longer than the tile, against bank conflicts. */
const PAD = 8;
/** Halves that travel in one 16-byte load. */
const VECTOR = 8;

export function threadsOf(tile: MatrixTile): number {
  return (tile.rows / tile.subgroupRows) * (tile.columns / tile.subgroupColumns) * SUBGROUP;
}

/** Bytes of workgroup memory. */
export function workgroupBytes(tile: MatrixTile, bAlongK: boolean): number {
  const a = tile.rows * (tile.depth + PAD);
  const b = bAlongK ? tile.columns * (tile.depth + PAD) : tile.depth * (tile.columns + PAD);
  return 2 * 2 * (a + b) + (threadsOf(tile) / SUBGROUP) * 16 * 16 * 4;
}

const each = (count: number, text: (i: number) => string) =>
  Array.from({ length: count }, (_, i) => text(i)).join('\n');

/** The staging of one operand, rows of `width` halves: `load` to registers, `keep` to workgroup memory. */
function staging(
  name: 'A' | 'B',
  rows: number,
  width: number,
  threads: number,
  vectors: boolean,
  address: (row: string, at: string) => string,
  inside: (row: string, at: string) => string | null,
) {
  const perRow = width / VECTOR;
  const count = Math.ceil((rows * perRow) / threads);
  const exact = (rows * perRow) % threads === 0;
  const stride = width + PAD;
  const position = (i: number) => `let e = local + ${i * threads}u;
      let r = e / ${perRow}u; let c = (e % ${perRow}u) * ${VECTOR}u;`;
  const guard = (text: string) => (exact ? text : `if (e < ${rows * perRow}u) { ${text} }`);
  return {
    registers: each(count, (i) => `var held${name}${i} = vec4u();`),
    load: each(count, (i) => {
      const check = inside('r', 'c');
      const read = `held${name}${i} = ${address('r', 'c')};`;
      const bounded = check
        ? `if (${check}) { ${read} } else { held${name}${i} = vec4u(); }`
        : read;
      return `{ ${position(i)} ${guard(bounded)} }`;
    }),
    keep: each(count, (i) => {
      const to = `next${name} + r * ${stride}u + c`;
      const store = vectors
        ? `tile${name}[(${to}) / ${VECTOR}u] = held${name}${i};`
        : each(
            4,
            (w) => `{
        let pair = bitcast<vec2h>(held${name}${i}[${w}]);
        tile${name}[${to} + ${2 * w}u] = pair.x;
        tile${name}[${to} + ${2 * w + 1}u] = pair.y;
      }`,
          );
      return `{ ${position(i)} ${guard(store)} }`;
    }),
    size: rows * stride,
    stride,
  };
}

/**
 * Both operands go through workgroup memory in two alternating slices: while the subgroup matrices
 * multiply one, the next is on its way through registers. A is `[m, k]` and B as `bAlongK` says, both
 * bound as `array<vec4u>` of eight halves. Workgroup x is the row of tiles, so that neighbours share
 * a slice of B, the weight. The sums leave through workgroup memory, since a subgroup matrix cannot
 * be scaled by row.
 */
export function matrixGemmBody({ tile, bAlongK, whole, vectors, store }: MatrixGemm): string {
  const { rows, columns, depth, subgroupRows, subgroupColumns } = tile;
  const threads = threadsOf(tile);
  const across = columns / subgroupColumns;
  const [tall, wide] = [subgroupRows / 16, subgroupColumns / 16];
  const a = staging(
    'A',
    rows,
    depth,
    threads,
    vectors,
    (r, c) => `a[(p.aAt + (firstRow + ${r}) * p.k + start + ${c}) / ${VECTOR}u]`,
    (r, c) => (whole ? null : `firstRow + ${r} < p.m && start + ${c} < p.k`),
  );
  const b = bAlongK
    ? staging(
        'B',
        columns,
        depth,
        threads,
        vectors,
        (r, c) => `b[(p.bAt + (firstColumn + ${r}) * p.k + start + ${c}) / ${VECTOR}u]`,
        (r, c) => (whole ? null : `firstColumn + ${r} < p.n && start + ${c} < p.k`),
      )
    : staging(
        'B',
        depth,
        columns,
        threads,
        vectors,
        (r, c) => `b[(p.bAt + (start + ${r}) * p.n + firstColumn + ${c}) / ${VECTOR}u]`,
        (r, c) => (whole ? null : `start + ${r} < p.bRows && firstColumn + ${c} < p.n`),
      );
  // Offsets and strides of a subgroup matrix count the array's elements.
  const unit = vectors ? VECTOR : 1;
  const at = (halves: string) => (vectors ? `(${halves}) / ${VECTOR}u` : halves);
  const element = vectors ? 'vec4u' : 'f16';
  const left = 'subgroup_matrix_left<f16, 16, 16>';
  const right = 'subgroup_matrix_right<f16, 16, 16>';
  const result = 'subgroup_matrix_result<f32, 16, 16>';
  const loadB = bAlongK
    ? (j: number) =>
        `subgroupMatrixLoad<${right}, col_major>(&tileB, ${at(`nowB + (partColumn + ${16 * j}u) * ${b.stride}u + step`)}, ${b.stride / unit})`
    : (j: number) =>
        `subgroupMatrixLoad<${right}, row_major>(&tileB, ${at(`nowB + step * ${b.stride}u + partColumn + ${16 * j}u`)}, ${b.stride / unit})`;
  return /* wgsl */ `
var<workgroup> tileA: array<${element}, ${(2 * a.size) / unit}>;
var<workgroup> tileB: array<${element}, ${(2 * b.size) / unit}>;
var<workgroup> sums: array<f32, ${(threads / SUBGROUP) * 256}>;
@compute @workgroup_size(${threads})
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) local: u32,
  @builtin(subgroup_id) subgroup: u32,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let firstRow = group.x * ${rows}u;
  let firstColumn = group.y * ${columns}u;
  let partRow = (subgroup / ${across}u) * ${subgroupRows}u;
  let partColumn = (subgroup % ${across}u) * ${subgroupColumns}u;
  ${each(tall, (i) => each(wide, (j) => `var c${i}_${j} = ${result}();`))}
  ${a.registers}
  ${b.registers}
  var nowA = 0u;
  var nowB = 0u;
  {
    let start = 0u;
    let nextA = 0u;
    let nextB = 0u;
    ${a.load}
    ${b.load}
    ${a.keep}
    ${b.keep}
  }
  workgroupBarrier();
  for (var done = 0u; done < p.k; done += ${depth}u) {
    let start = done + ${depth}u;
    let more = start < p.k;
    if (more) {
      ${a.load}
      ${b.load}
    }
    for (var step = 0u; step < ${depth}u; step += 16u) {
      ${each(wide, (j) => `let right${j} = ${loadB(j)};`)}
      ${each(
        tall,
        (
          i,
        ) => `let left${i} = subgroupMatrixLoad<${left}, row_major>(&tileA, ${at(`nowA + (partRow + ${16 * i}u) * ${a.stride}u + step`)}, ${a.stride / unit});
      ${each(wide, (j) => `c${i}_${j} = subgroupMatrixMultiplyAccumulate(left${i}, right${j}, c${i}_${j});`)}`,
      )}
    }
    let nextA = ${a.size}u - nowA;
    let nextB = ${b.size}u - nowB;
    if (more) {
      ${a.keep}
      ${b.keep}
    }
    workgroupBarrier();
    nowA = nextA;
    nowB = nextB;
  }
  let mine = subgroup * 256u;
  ${each(tall, (i) =>
    each(
      wide,
      (j) => `
  subgroupMatrixStore<row_major>(&sums, mine, c${i}_${j}, 16u);
  workgroupBarrier();
  for (var e = lane; e < 256u; e += ${SUBGROUP}u) {
    let m = firstRow + partRow + ${16 * i}u + e / 16u;
    let n = firstColumn + partColumn + ${16 * j}u + e % 16u;
    let value = sums[mine + e];
    if (m < p.m && n < p.n) { ${store} }
  }
  workgroupBarrier();`,
    ),
  )}
}`;
}
