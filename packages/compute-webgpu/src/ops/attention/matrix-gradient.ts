import { read } from '../../device/kernel.js';
import {
  each,
  HALVES_OF,
  LOG2_E,
  OWNED,
  RESULT,
  rightOfRows,
  rowVectors,
  squaresOf,
  THREADS,
} from './matrix-tile.js';
import { type AttentionShape, MASK_PARAMS, maskFunctions } from './tile.js';

/** Rows of the other side that are gone over in a step. */
export const STEP = 32;
/** Vectors of four from one row of products to the next. */
export const PRODUCT_STRIDE = STEP / 4 + 1;
/** Vectors of eight halves from one row of weights to the next. */
export const WEIGHT_STRIDE = STEP / 8 + 1;
/** Rows of a subgroup, in squares. */
export const DOWN = 2;

export const INPUTS = {
  halves: read('vec4u'),
  logSumExp: read(),
  delta: read(),
  factors: read(),
};

export const PARAMS = {
  ...MASK_PARAMS,
  perQuery: 'u32',
  perKey: 'u32',
  qPart: 'u32',
  kPart: 'u32',
  vPart: 'u32',
  gPart: 'u32',
} as const;

/**
 * What both kernels share. `staged` has rows of both operands; `products` the scores of the 64 owned
 * rows and, from `slopesAt` on, their slopes (dOut v^T).
 */
export function shared(shape: AttentionShape, weights: number): string {
  const { headDim } = shape;
  return /* wgsl */ `
var<workgroup> staged: array<vec4u, ${2 * STEP * rowVectors(headDim)}>;
var<workgroup> products: array<vec4f, ${Math.max(2 * OWNED * PRODUCT_STRIDE, 16 * headDim)}>;
var<workgroup> weights: array<vec4u, ${weights * OWNED * WEIGHT_STRIDE}>;
${maskFunctions(shape)}
${HALVES_OF}
const BOUND = vec4f(65000.0);
fn bounded(a: vec4f) -> vec4f { return clamp(a, -BOUND, BOUND); }
fn statisticAt(batch: u32, head: u32, query: u32) -> u32 {
  return (batch * p.heads + head) * p.queryLength + query;
}`;
}

/** The arguments of `main`, and what both kernels take from them. */
export const MAIN = /* wgsl */ `
@compute @workgroup_size(${THREADS})
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
  @builtin(subgroup_id) subgroup: u32,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let head = group.y;
  let batch = group.z;
  let headAt = batch * p.heads + head;
  let scale = p.scale * ${LOG2_E};
  let factor = factors[p.factorsAt];
  let inverse = factors[p.factorsAt + 1u];
  // Even subgroups compute scores, odd ones slopes, each for 32 rows.
  let role = subgroup % 2u;
  let block = subgroup / 2u;`;

/** Products of the subgroup's rows `x0_0`… with its operand's staged rows. */
export function productsText(headDim: number): string {
  const stride = rowVectors(headDim);
  return /* wgsl */ `{
      let start = role * ${STEP * stride}u;
      ${each(DOWN, (i) => each(STEP / 16, (j) => `var c${i}_${j} = ${RESULT}();`))}
      ${each(squaresOf(headDim), (s) =>
        each(
          STEP / 16,
          (j) => `{
        let other = ${rightOfRows('staged', `start + ${16 * j * stride + 2 * s}u`, stride)};
        ${each(DOWN, (i) => `c${i}_${j} = subgroupMatrixMultiplyAccumulate(x${i}_${s}, other, c${i}_${j});`)}
      }`,
        ),
      )}
      ${each(DOWN, (i) =>
        each(
          STEP / 16,
          (j) =>
            `subgroupMatrixStore<row_major>(&products, role * ${OWNED * PRODUCT_STRIDE}u + block * ${32 * PRODUCT_STRIDE}u + ${16 * i * PRODUCT_STRIDE + 4 * j}u, c${i}_${j}, ${PRODUCT_STRIDE});`,
        ),
      )}
    }`;
}

/** Where the sums of a subgroup's 16 rows go, to be written from there. */
export function sumsOf(headDim: number, i: number): string {
  return each(
    squaresOf(headDim),
    (d) =>
      `subgroupMatrixStore<row_major>(&products, subgroup * ${4 * headDim}u + ${4 * d}u, r${i}_${d}, ${headDim / 4});`,
  );
}
