import type { MatrixTile } from '../../wgsl/matrix-gemm.js';
import {
  each,
  leftSquare,
  type MatrixTerm,
  rightSquare,
  threadsOf,
} from '../../wgsl/matrix-gemm.js';

/** Moves the halves of both factors to where neither overflows nor underflows. */
const BALANCE = 256;

/** Eight values as two vectors of halves, whose sum is theirs to 22 bits. */
const SPLIT = (to: string, gap: number, value: (c: number) => string) => /* wgsl */ `
      let low = vec4f(${[0, 1, 2, 3].map(value).join(', ')});
      let high = vec4f(${[4, 5, 6, 7].map(value).join(', ')});
      let lowHalves = vec4h(low);
      let highHalves = vec4h(high);
      let lowRest = vec4h(low - vec4f(lowHalves));
      let highRest = vec4h(high - vec4f(highHalves));
      tile[${to}] = vec4u(bitcast<vec2u>(lowHalves), bitcast<vec2u>(highHalves));
      tile[${to} + ${gap}u] = vec4u(bitcast<vec2u>(lowRest), bitcast<vec2u>(highRest));`;

/**
 * An adapter's share of a product, hidden factor, on subgroup matrices and as exact as in f32: both are
 * split in two halves, of which three products are added. Sums are in units of their row of A, so that
 * hidden rows are divided by its scale.
 * @param forward the factor is `[n, rank]`, else `[rank, n]`
 * @param suffix of the names of bindings and parameters
 */
export function adapterTerm(
  tile: MatrixTile,
  rank: number,
  forward: boolean,
  suffix = '',
): MatrixTerm {
  const { rows, columns, subgroupRows, subgroupColumns } = tile;
  const threads = threadsOf(tile);
  const steps = Math.ceil(rank / 16);
  /** Vectors of eight ranks, of which both halves follow each other in a row. */
  const parts = 2 * steps;
  const stride = 2 * parts + 1;
  const fours = rank / 4;
  const four = (array: string, row: string, i: string) =>
    `select(vec4f(), ${array}${suffix}[(p.${array}${suffix}At + ${row} * ${rank}u) / 4u + min(${i}, ${fours - 1}u)], ${i} < ${fours}u)`;
  const pair = (array: string, row: string, factor: string) => /* wgsl */ `
      let a = ${four(array, row, '2u * part')} * ${factor};
      let b = ${four(array, row, '2u * part + 1u')} * ${factor};`;
  const ofPair = (c: number) => (c < 4 ? `a[${c}]` : `b[${c - 4}]`);
  const factors = forward
    ? `let n = e / ${parts}u;
      let part = e % ${parts}u;
      ${pair('factor', 'min(firstColumn + n, p.n - 1u)', `${BALANCE}.0`)}
      ${SPLIT(`${rows * stride}u + n * ${stride}u + part`, parts, ofPair)}`
    : `let n = e % ${columns}u;
      let part = e / ${columns}u;
      let column = min(firstColumn + n, p.n - 1u);
      ${each(8, (c) => `let f${c} = select(0.0, factor${suffix}[p.factor${suffix}At + min(8u * part + ${c}u, ${rank - 1}u) * p.n + column] * ${BALANCE}.0, 8u * part + ${c}u < ${rank}u);`)}
      ${SPLIT(`${rows * stride}u + n * ${stride}u + part`, parts, (c) => `f${c}`)}`;
  const halves = 8 * stride;
  const row = (i: number, at: number) =>
    leftSquare(`(partRow + ${16 * i}u) * ${stride}u + ${at}u`, halves);
  const column = (j: number, at: number) =>
    rightSquare(
      `${rows * stride}u + (partColumn + ${16 * j}u) * ${stride}u + ${at}u`,
      halves,
      'col_major',
    );
  const add = (i: number, j: number, l: string, r: string) =>
    `c${i}_${j} = subgroupMatrixMultiplyAccumulate(${l}, ${r}, c${i}_${j});`;
  return {
    vectors: (rows + columns) * stride,
    stage: /* wgsl */ `
  for (var e = local; e < ${rows * parts}u; e += ${threads}u) {
    let r = e / ${parts}u;
    let part = e % ${parts}u;
    let m = min(firstRow + r, p.m - 1u);
    let unit = p.lowScale${suffix} / (scales[p.scalesAt + m] * ${BALANCE}.0);
    ${pair('hidden', 'm', 'unit')}
    ${SPLIT(`r * ${stride}u + part`, parts, ofPair)}
  }
  for (var e = local; e < ${columns * parts}u; e += ${threads}u) {
    ${factors}
  }`,
    multiply: each(steps, (s) =>
      each(
        subgroupRows / 16,
        (i) => `{
    let row = ${row(i, 2 * s)};
    let rowRest = ${row(i, parts + 2 * s)};
    ${each(
      subgroupColumns / 16,
      (j) => `{
      let column = ${column(j, 2 * s)};
      let columnRest = ${column(j, parts + 2 * s)};
      ${add(i, j, 'row', 'columnRest')}
      ${add(i, j, 'rowRest', 'column')}
      ${add(i, j, 'row', 'column')}
    }`,
    )}
  }`,
      ),
    ),
  };
}
