import type { Tensor } from '@qlorajs/compute';
import { storageOf } from '../../device/storage.js';
import type { Engine } from '../../engine.js';
import { MATRIX_DIRECTIVES } from '../../wgsl/matrix-gemm.js';
import type { AttentionShape } from './tile.js';

export { MATRIX_DIRECTIVES };

/** Threads of a workgroup: four subgroups. */
export const THREADS = 128;
/** Rows that a workgroup owns. */
export const OWNED = 64;

export const each = (count: number, text: (i: number) => string) =>
  Array.from({ length: count }, (_, i) => text(i)).join('\n');

/** Squares of 16 along a head. */
export function squaresOf(headDim: number): number {
  return headDim / 16;
}

/** Vectors of eight halves that a staged row takes: one more than the head, against bank conflicts. */
export function rowVectors(headDim: number): number {
  return headDim / 8 + 1;
}

const LEFT = 'subgroup_matrix_left<f16, 16, 16>';
const RIGHT = 'subgroup_matrix_right<f16, 16, 16>';
export const RESULT = 'subgroup_matrix_result<f32, 16, 16>';

/** A square of the left operand, from row-major memory. */
export const left = (from: string, at: string, stride: number) =>
  `subgroupMatrixLoad<${LEFT}, row_major>(&${from}, ${at}, ${stride})`;
/** A square of the right operand, whose columns are rows in memory: for products of rows with rows. */
export const rightOfRows = (from: string, at: string, stride: number) =>
  `subgroupMatrixLoad<${RIGHT}, col_major>(&${from}, ${at}, ${stride})`;
/** A square of the right operand as it lies in memory. */
export const right = (from: string, at: string, stride: number) =>
  `subgroupMatrixLoad<${RIGHT}, row_major>(&${from}, ${at}, ${stride})`;

/** `name0_0`…: squares of `down` times 16 rows of the halves (see halves.ts), from the row at `at` on. */
export function ownedSquares(headDim: number, name: string, down: number, at: string): string {
  const vectors = headDim / 8;
  return each(down, (i) =>
    each(
      squaresOf(headDim),
      (s) =>
        `let ${name}${i}_${s} = ${left('halves', `${at} + ${16 * i * vectors + 2 * s}u`, vectors)};`,
    ),
  );
}

/** Results `name0_0`… of zeros. */
export function zeroSquares(headDim: number, name: string, down: number): string {
  return each(down, (i) => each(squaresOf(headDim), (d) => `var ${name}${i}_${d} = ${RESULT}();`));
}

/**
 * Rows of the halves on their way to workgroup memory: `load` brings the vectors that follow `from` to
 * registers `name0`…, `keep` gives them to rows of `to`, the first at vector `offset`.
 */
export function staging(headDim: number, name: string, rows: number) {
  const vectors = headDim / 8;
  const count = Math.ceil((rows * vectors) / THREADS);
  const guard = (i: number, text: string) =>
    (i + 1) * THREADS <= rows * vectors
      ? text
      : `if (local + ${i * THREADS}u < ${rows * vectors}u) { ${text} }`;
  return {
    registers: each(count, (i) => `var ${name}${i} = vec4u();`),
    load: (from: string) =>
      each(count, (i) => guard(i, `${name}${i} = halves[${from} + local + ${i * THREADS}u];`)),
    keep: (to: string, offset: string) =>
      each(count, (i) => {
        const e = `(local + ${i * THREADS}u)`;
        const place = `${e} / ${vectors}u * ${rowVectors(headDim)}u + ${e} % ${vectors}u`;
        return guard(i, `${to}[${offset} + ${place}] = ${name}${i};`);
      }),
  };
}

/** First and last key that the queries [firstOwned, lastQuery] see between them. */
export function keyRange({ hasFirst }: AttentionShape, step: number): string {
  return /* wgsl */ `
  let tileEnd = endOf(batch, lastQuery);
  var tileStart = firstOf(batch, firstOwned);
  ${
    hasFirst
      ? `for (var other = firstOwned + 1u; other <= lastQuery; other++) {
    tileStart = min(tileStart, firstOf(batch, other));
  }`
      : ''
  }
  tileStart = (tileStart / ${step}u) * ${step}u;`;
}

/** Eight values as halves. */
export const HALVES_OF = /* wgsl */ `
fn halvesOf(a: vec4f, b: vec4f) -> vec4u {
  return vec4u(
    bitcast<u32>(vec2h(a.xy)), bitcast<u32>(vec2h(a.zw)), bitcast<u32>(vec2h(b.xy)), bitcast<u32>(vec2h(b.zw)),
  );
}`;

/** Base-two logarithms are what exp2 takes. */
export const LOG2_E = '1.4426950408889634';

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
  if ([...inputs, ...outputs].some(({ offset }) => offset % 4 !== 0)) return false;
  return inputs.every((input) => outputs.every((out) => storageOf(input) !== storageOf(out)));
}
