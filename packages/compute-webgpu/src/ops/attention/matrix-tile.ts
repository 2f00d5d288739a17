import type { Tensor } from '@qlorajs/compute';
import { storageOf } from '../../device/storage.js';
import type { Engine } from '../../engine.js';
import { MATRIX_DIRECTIVES } from '../../wgsl/matrix-gemm.js';
import type { AttentionShape } from './tile.js';

/** Rows that a workgroup owns: four subgroups of sixteen. */
export const OWNED = 64;
export const THREADS = 128;
export { MATRIX_DIRECTIVES };

export const each = (count: number, text: (i: number) => string) =>
  Array.from({ length: count }, (_, i) => text(i)).join('\n');

/** Vectors of eight halves that a staged row takes: one more than the head, against bank conflicts. */
export function rowVectors(headDim: number): number {
  return headDim / 8 + 1;
}

/** Squares of 16 along a head. */
export function squaresOf(headDim: number): number {
  return headDim / 16;
}

const LEFT = 'subgroup_matrix_left<f16, 16, 16>';
const RIGHT = 'subgroup_matrix_right<f16, 16, 16>';
export const RESULT = 'subgroup_matrix_result<f32, 16, 16>';

/** Rows [row, row + 16) and columns [16 s, 16 s + 16) of a staged tile. */
function square(
  type: string,
  order: string,
  headDim: number,
  tile: string,
  row: string,
  s: number,
) {
  const stride = rowVectors(headDim);
  return `subgroupMatrixLoad<${type}, ${order}>(&${tile}, (${row}) * ${stride}u + ${2 * s}u, ${stride})`;
}

export const leftOf = (headDim: number, tile: string, row: string, s: number) =>
  square(LEFT, 'row_major', headDim, tile, row, s);
/** The transposed rows: for products of rows with rows. */
export const rightTransposed = (headDim: number, tile: string, row: string, s: number) =>
  square(RIGHT, 'col_major', headDim, tile, row, s);
export const rightOf = (headDim: number, tile: string, row: string, s: number) =>
  square(RIGHT, 'row_major', headDim, tile, row, s);

/** Columns [16 s, 16 s + 16) of the subgroup's rows of an array of halves. */
export function leftHalves(name: string, stride: number, s: number): string {
  return `subgroupMatrixLoad<${LEFT}, row_major>(&${name}, subgroup * ${16 * stride}u + ${16 * s}u, ${stride})`;
}

/**
 * `stage_name(first, to, batch, head, local)` brings `count` rows of a head to rows `to`… of `tile`,
 * as f16, times `factor`; rows beyond `limit` become zeros.
 */
export function stageHalves(
  { headDim }: AttentionShape,
  name: string,
  {
    tile,
    count,
    limit,
    factor = '',
  }: { tile: string; count: number; limit: string; factor?: string },
): string {
  const perRow = headDim / 8;
  const steps = Math.ceil((count * perRow) / THREADS);
  // All loads are issued before the first is waited for.
  return /* wgsl */ `
fn stage_${name}(first: u32, to: u32, batch: u32, head: u32, local: u32) {
  ${each(
    steps,
    (i) => `let r${i} = (local + ${i * THREADS}u) / ${perRow}u;
  let c${i} = (local + ${i * THREADS}u) % ${perRow}u;
  var low${i} = vec4f();
  var high${i} = vec4f();
  if (r${i} < ${count}u && first + r${i} < ${limit}) {
    let at = (p.${name}At + ((batch * ${limit} + first + r${i}) * p.heads + head) * ${headDim}u) / 4u + 2u * c${i};
    low${i} = ${name}[at]${factor};
    high${i} = ${name}[at + 1u]${factor};
  }`,
  )}
  ${each(
    steps,
    (i) => `if (r${i} < ${count}u) {
    ${tile}[(to + r${i}) * ${rowVectors(headDim)}u + c${i}] = vec4u(
      bitcast<u32>(vec2h(low${i}.xy)), bitcast<u32>(vec2h(low${i}.zw)),
      bitcast<u32>(vec2h(high${i}.xy)), bitcast<u32>(vec2h(high${i}.zw)),
    );
  }`,
  )}
}`;
}

/** Gives squares `name0`… of the subgroup's rows, through `through`, to rows `first + …` of `out`. */
export function storeSquares(
  { headDim }: AttentionShape,
  name: string,
  out: string,
  { through, limit, factor = '' }: { through: string; limit: string; factor?: string },
): string {
  return each(
    squaresOf(headDim),
    (d) => `
  subgroupMatrixStore<row_major>(&${through}, subgroup * 256u, ${name}${d}, 16u);
  workgroupBarrier();
  for (var e = lane; e < 256u; e += 32u) {
    let row = firstOwned + subgroup * 16u + e / 16u;
    if (row < ${limit}) {
      let at = p.${out}At + ((batch * ${limit} + row) * p.heads + head) * ${headDim}u + ${16 * d}u + e % 16u;
      ${out}[at] = ${through}[subgroup * 256u + e]${factor};
    }
  }
  workgroupBarrier();`,
  );
}

/** The arguments of `main`, and what every attention kernel takes from them. */
export const MAIN = /* wgsl */ `
@compute @workgroup_size(${THREADS})
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) local: u32,
  @builtin(subgroup_id) subgroup: u32,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let head = group.y;
  let batch = group.z;
  let firstOwned = group.x * ${OWNED}u;`;

/** First and last key that the queries [firstOwned, lastQuery] see between them. */
export const KEY_RANGE = /* wgsl */ `
  let lastQuery = min(firstOwned + ${OWNED}u, p.queryLength) - 1u;
  let tileEnd = endOf(batch, lastQuery);
  var tileStart = firstOf(batch, firstOwned);
  for (var other = firstOwned + 1u; other <= lastQuery; other++) {
    tileStart = min(tileStart, firstOf(batch, other));
  }`;

/**
 * Whether subgroup matrices can do it: heads of whole squares whose rows start on 16 bytes, and
 * enough queries to fill a square.
 */
export function suitsMatrices(
  engine: Engine,
  { headDim, queryLength }: { headDim: number; queryLength: number },
  inputs: readonly Tensor[],
  outputs: readonly Tensor[],
): boolean {
  if (engine.tier !== 'matrix' || headDim % 16 !== 0 || headDim > 96 || queryLength < 16)
    return false;
  if (inputs.some(({ offset }) => offset % 4 !== 0)) return false;
  return inputs.every((input) => outputs.every((out) => storageOf(input) !== storageOf(out)));
}
