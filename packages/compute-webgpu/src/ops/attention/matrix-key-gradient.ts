import { type KernelSpec, write } from '../../device/kernel.js';
import {
  DOWN,
  INPUTS,
  MAIN,
  PARAMS,
  PRODUCT_STRIDE,
  productsText,
  STEP,
  shared,
  sumsOf,
  WEIGHT_STRIDE,
} from './matrix-gradient.js';
import {
  each,
  LOG2_E,
  left,
  MATRIX_DIRECTIVES,
  OWNED,
  ownedSquares,
  right,
  rowVectors,
  squaresOf,
  staging,
  zeroSquares,
} from './matrix-tile.js';
import { type AttentionShape, maskBindings } from './tile.js';

const four = (text: (i: number) => string, type = 'f') =>
  `vec4${type}(${[0, 1, 2, 3].map(text).join(', ')})`;

/** What is needed of the step's queries, four to a thread; beyond the last one they see nothing. */
const STATISTICS = /* wgsl */ `
    if (local < ${STEP}u) {
      let c = local % ${STEP / 4}u;
      let what = local / ${STEP / 4}u;
      ${each(
        4,
        (i) => `let query${i} = min(first + 4u * c + ${i}u, p.queryLength - 1u);
      let at${i} = statisticAt(batch, head, query${i});`,
      )}
      if (what == 0u) { sums[c] = ${four((i) => `logSumExp[p.logSumExpAt + at${i}]`)} * ${LOG2_E}; }
      if (what == 1u) { means[c] = ${four((i) => `delta[p.deltaAt + at${i}]`)} * factor; }
      if (what == 2u) { begins[c] = ${four((i) => `firstOf(batch, query${i})`, 'u')}; }
      if (what == 3u) {
        ends[c] = ${four((i) => `select(0u, endOf(batch, query${i}), first + 4u * c + ${i}u < p.queryLength)`, 'u')};
      }
    }`;

/**
 * dK = dS^T q and dV = P^T dOut: a workgroup owns 64 keys, and a row of the scores is a key. Half of
 * the subgroups compute scores and add to dV, the others slopes and dK.
 */
export function keyGradientKernel(key: string, shape: AttentionShape): KernelSpec {
  const { headDim } = shape;
  const squares = squaresOf(headDim);
  const stride = rowVectors(headDim);
  const queries = staging(headDim, 'q', STEP);
  const gradients = staging(headDim, 'g', STEP);
  const groups = STEP / 8;
  const load = (first: string) => `${queries.load(`qAt + (${first}) * ${headDim / 8}u`)}
    ${gradients.load(`gAt + (${first}) * ${headDim / 8}u`)}`;
  return {
    key,
    directives: MATRIX_DIRECTIVES,
    bindings: { ...INPUTS, ...maskBindings(shape), dK: write('vec4f'), dV: write('vec4f') },
    params: PARAMS,
    body: /* wgsl */ `${shared(shape, 2)}
var<workgroup> sums: array<vec4f, ${STEP / 4}>;
var<workgroup> means: array<vec4f, ${STEP / 4}>;
var<workgroup> begins: array<vec4u, ${STEP / 4}>;
var<workgroup> ends: array<vec4u, ${STEP / 4}>;
${MAIN}
  let firstOwned = group.x * ${OWNED}u;
  let row = local % ${OWNED}u;
  let half = local / ${OWNED}u;
  let key = vec4u(firstOwned + row);
  let qAt = p.qPart + headAt * p.perQuery;
  let gAt = p.gPart + headAt * p.perQuery;
  let ownedAt = select(p.kPart, p.vPart, role == 1u) + headAt * p.perKey + (firstOwned + block * 32u) * ${headDim / 8}u;
  ${ownedSquares(headDim, 'x', DOWN, 'ownedAt')}
  ${zeroSquares(headDim, 'r', DOWN)}
  ${queries.registers}
  ${gradients.registers}
  // Earlier queries see none of the owned keys.
  if (firstOwned < p.queryLength) { ${load('firstOwned')} }
  for (var first = firstOwned; first < p.queryLength; first += ${STEP}u) {
    ${queries.keep('staged', '0u')}
    ${gradients.keep('staged', `${STEP * stride}u`)}
    ${STATISTICS}
    workgroupBarrier();
    if (first + ${STEP}u < p.queryLength) { ${load(`first + ${STEP}u`)} }
    ${productsText(headDim)}
    workgroupBarrier();
    let at = row * ${PRODUCT_STRIDE}u + half * ${groups}u;
    let column = half * ${groups}u;
    ${each(
      groups,
      (
        c,
      ) => `let likely${c} = exp2(min(products[at + ${c}u] * scale - sums[column + ${c}u], vec4f()));
    let weight${c} = select(vec4f(), likely${c}, ${shape.hasFirst ? `(key >= begins[column + ${c}u]) & ` : ''}(key < ends[column + ${c}u]));
    let d${c} = bounded(weight${c} * (products[at + ${OWNED * PRODUCT_STRIDE + c}u] - means[column + ${c}u]) * p.scale);`,
    )}
    ${each(
      groups / 2,
      (c) => `{
      let to = row * ${WEIGHT_STRIDE}u + half * ${groups / 2}u + ${c}u;
      weights[to] = halvesOf(weight${2 * c}, weight${2 * c + 1});
      weights[to + ${OWNED * WEIGHT_STRIDE}u] = halvesOf(d${2 * c}, d${2 * c + 1});
    }`,
    )}
    workgroupBarrier();
    let other = (1u - role) * ${STEP * stride}u;
    ${each(
      STEP / 16,
      (s) => `{
      ${each(DOWN, (i) => `let left${i} = ${left('weights', `role * ${OWNED * WEIGHT_STRIDE}u + (block * 32u + ${16 * i}u) * ${WEIGHT_STRIDE}u + ${2 * s}u`, WEIGHT_STRIDE)};`)}
      ${each(
        squares,
        (d) => `{
        let across = ${right('staged', `other + ${16 * s * stride + 2 * d}u`, stride)};
        ${each(DOWN, (i) => `r${i}_${d} = subgroupMatrixMultiplyAccumulate(left${i}, across, r${i}_${d});`)}
      }`,
      )}
    }`,
    )}
    workgroupBarrier();
  }
  ${each(
    DOWN,
    (i) => `
  ${sumsOf(headDim, i)}
  workgroupBarrier();
  for (var e = lane; e < ${4 * headDim}u; e += 32u) {
    let r = firstOwned + block * 32u + ${16 * i}u + e / ${headDim / 4}u;
    if (r < p.keyLength) {
      let to = ((batch * p.keyLength + r) * p.heads + head) * ${headDim / 4}u + e % ${headDim / 4}u;
      let value = products[subgroup * ${4 * headDim}u + e] * inverse;
      if (role == 0u) { dV[p.dVAt / 4u + to] = value; } else { dK[p.dKAt / 4u + to] = value; }
    }
  }
  workgroupBarrier();`,
  )}
}`,
  };
}
