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
  /** Columns that are stored at a time: 4 where every row of the output starts on 16 bytes, else 1. */
  readonly width: 1 | 4;
  /** Whether k is cut in parts, of which a workgroup's z is one; else z is not looked at. */
  readonly inParts: boolean;
  /** Add to the sums, on subgroup matrices: see adapter-term.ts. */
  readonly more: readonly MatrixTerm[];
  /** Text that fetches, to `old`, what the store of row `m` and columns from `n` on needs of the output. */
  readonly fetch: string;
  /** Text that gives the sums `value` at row `m` and columns from `n` on, over part `part` of k, to the output. */
  readonly store: string;
}

/** Another product of few terms that is added to the sums. */
export interface MatrixTerm {
  /** Vectors of eight halves that it stages. */
  readonly vectors: number;
  /** Text that stages its operands in `tile`. */
  readonly stage: string;
  /** Text that adds to the sums `c0_0`…. */
  readonly multiply: string;
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

/** Halves of the staged slices. */
function slicesOf(tile: MatrixTile, bAlongK: boolean): readonly [number, number] {
  const a = tile.rows * (tile.depth + PAD);
  return [a, bAlongK ? tile.columns * (tile.depth + PAD) : tile.depth * (tile.columns + PAD)];
}

/** Vectors of workgroup memory: slices first, 16 rows of sums of every subgroup afterwards. */
function tileVectors(tile: MatrixTile, bAlongK: boolean, more: readonly MatrixTerm[]): number {
  const [a, b] = slicesOf(tile, bAlongK);
  const sums = (threadsOf(tile) / SUBGROUP) * 4 * tile.subgroupColumns;
  return Math.max((a + b) / VECTOR, sums, ...more.map(({ vectors }) => vectors));
}

/** Bytes of workgroup memory. */
export function workgroupBytes(tile: MatrixTile, bAlongK: boolean): number {
  return 16 * tileVectors(tile, bAlongK, []);
}

const RESULT = 'subgroup_matrix_result<f32, 16, 16>';

/** A square of the left operand in `tile`, `stride` halves from row to row. */
export const leftSquare = (at: string, stride: number) =>
  `subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&tile, ${at}, ${stride / VECTOR})`;
/** A square of the right operand; `col_major` where its columns are rows in memory. */
export const rightSquare = (at: string, stride: number, order: 'row_major' | 'col_major') =>
  `subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, ${order}>(&tile, ${at}, ${stride / VECTOR})`;

export const each = (count: number, text: (i: number) => string) =>
  Array.from({ length: count }, (_, i) => text(i)).join('\n');

/** The staging of one operand, rows of `width` halves: `load` to registers, `keep` to workgroup memory. */
function staging(
  name: 'A' | 'B',
  base: number,
  rows: number,
  width: number,
  threads: number,
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
      const to = `r * ${stride}u + c`;
      const store = `tile[(${base}u + ${to}) / ${VECTOR}u] = held${name}${i};`;
      return `{ ${position(i)} ${guard(store)} }`;
    }),
    size: rows * stride,
    stride,
  };
}

/**
 * Both operands go through workgroup memory in slices along k; while one slice is multiplied, the
 * next waits in registers. A is `[m, k]` and B as `bAlongK` says,
 * both bound as `array<vec4u>` of eight halves. Workgroup x is the row of tiles, so that neighbours
 * share a slice of B, the weight; y is the column and z the part [z span, (z + 1) span) of k, with
 * `span` in `p.span`. The sums leave through workgroup memory, since a subgroup matrix cannot be
 * scaled by row.
 */
export function matrixGemmBody(gemm: MatrixGemm): string {
  const { tile, bAlongK, whole, width, inParts, more, fetch, store } = gemm;
  const { rows, columns, depth, subgroupRows, subgroupColumns } = tile;
  const threads = threadsOf(tile);
  const across = columns / subgroupColumns;
  const [tall, wide] = [subgroupRows / 16, subgroupColumns / 16];
  const inRow = (first: string, size: string) => (r: string, c: string) =>
    whole ? null : `${first} + ${r} < ${size} && start + ${c} < p.k`;
  const [halvesOfA] = slicesOf(tile, bAlongK);
  const a = staging(
    'A',
    0,
    rows,
    depth,
    threads,
    (r, c) => `a[(p.aAt + (firstRow + ${r}) * p.k + start + ${c}) / ${VECTOR}u]`,
    inRow('firstRow', 'p.m'),
  );
  const b = bAlongK
    ? staging(
        'B',
        halvesOfA,
        columns,
        depth,
        threads,
        (r, c) => `b[(p.bAt + (firstColumn + ${r}) * p.k + start + ${c}) / ${VECTOR}u]`,
        inRow('firstColumn', 'p.n'),
      )
    : staging(
        'B',
        halvesOfA,
        depth,
        columns,
        threads,
        (r, c) => `b[(p.bAt + (start + ${r}) * p.n + firstColumn + ${c}) / ${VECTOR}u]`,
        (r, c) => (whole ? null : `start + ${r} < p.bRows && firstColumn + ${c} < p.n`),
      );
  // Offsets and strides count the array's elements: vectors.
  const loadA = (i: number, step: number) =>
    leftSquare(`((partRow + ${16 * i}u) * ${a.stride}u + ${step}u) / ${VECTOR}u`, a.stride);
  const loadB = (j: number, step: number) =>
    bAlongK
      ? rightSquare(
          `(${halvesOfA}u + (partColumn + ${16 * j}u) * ${b.stride}u + ${step}u) / ${VECTOR}u`,
          b.stride,
          'col_major',
        )
      : rightSquare(
          `(${halvesOfA + step * b.stride + 16 * j}u + partColumn) / ${VECTOR}u`,
          b.stride,
          'row_major',
        );
  const multiply = each(
    depth / 16,
    (s) => `{
      ${each(wide, (j) => `let right${j} = ${loadB(j, 16 * s)};`)}
      ${each(
        tall,
        (i) => `let left${i} = ${loadA(i, 16 * s)};
      ${each(wide, (j) => `c${i}_${j} = subgroupMatrixMultiplyAccumulate(left${i}, right${j}, c${i}_${j});`)}`,
      )}
    }`,
  );
  const load = `${a.load}\n${b.load}`;
  const keep = `${a.keep}\n${b.keep}`;
  const perRow = subgroupColumns / width;
  const count = (16 * perRow) / SUBGROUP;
  const type = width === 4 ? 'vec4f' : 'f32';
  const position = (i: number, t: number) => /* wgsl */ `let e = lane + ${t * SUBGROUP}u;
      let m = firstRow + partRow + ${16 * i}u + e / ${perRow}u;
      let n = firstColumn + partColumn + e % ${perRow}u * ${width}u;
      let inside = m < p.m && n < p.n;`;
  const sum =
    width === 4 ? 'bitcast<vec4f>(tile[mine + e])' : 'bitcast<f32>(tile[mine + e / 4u][e % 4u])';
  return /* wgsl */ `
var<workgroup> tile: array<vec4u, ${tileVectors(tile, bAlongK, more)}>;
@compute @workgroup_size(${threads})
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) local: u32,
  @builtin(subgroup_id) subgroup: u32,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let firstRow = group.x * ${rows}u;
  let firstColumn = group.y * ${columns}u;
  let part = ${inParts ? 'group.z' : '0u'};
  let begin = part * p.span;
  let end = min(p.k, begin + p.span);
  let partRow = (subgroup / ${across}u) * ${subgroupRows}u;
  let partColumn = (subgroup % ${across}u) * ${subgroupColumns}u;
  ${each(tall, (i) => each(wide, (j) => `var c${i}_${j} = ${RESULT}();`))}
  ${a.registers}
  ${b.registers}
  { let start = begin; ${load} }
  for (var done = begin; done < end; done += ${depth}u) {
    ${keep}
    workgroupBarrier();
    let start = done + ${depth}u;
    // Under a condition, which keeps compilers from putting the loads off until they are needed.
    if (start < end) { ${load} }
    ${multiply}
    workgroupBarrier();
  }
  ${more
    .map(
      (term) => `{ ${term.stage} }
  workgroupBarrier();
  ${term.multiply}
  workgroupBarrier();`,
    )
    .join('\n')}
  let mine = subgroup * ${4 * subgroupColumns}u;
  ${each(
    tall,
    (i) => `{
  ${each(fetch ? count : 0, (t) => `var old${t} = ${type}(); { ${position(i, t)} if (inside) { ${fetch.replace('old', `old${t}`)} } }`)}
  ${each(wide, (j) => `subgroupMatrixStore<row_major>(&tile, mine + ${4 * j}u, c${i}_${j}, ${subgroupColumns / 4});`)}
  workgroupBarrier();
  ${each(
    count,
    (t) => `{
    ${position(i, t)}
    let value = ${sum};
    if (inside) { ${store.replace('old', `old${t}`)} }
  }`,
  )}
  workgroupBarrier();
  }`,
  )}
}`;
}
