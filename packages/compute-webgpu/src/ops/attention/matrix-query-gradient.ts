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
  keyRange,
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

/**
 * dQ = dS k: a workgroup owns 64 queries. Half of the subgroups compute scores, the others slopes;
 * each thread turns half of a row's into dS; and each subgroup adds the products of half of the keys.
 */
export function queryGradientKernel(key: string, shape: AttentionShape): KernelSpec {
  const { headDim } = shape;
  const squares = squaresOf(headDim);
  const stride = rowVectors(headDim);
  const keys = staging(headDim, 'k', STEP);
  const values = staging(headDim, 'v', STEP);
  const groups = STEP / 8;
  const four = (c: number) => `vec4i(${[0, 1, 2, 3].map((i) => 4 * c + i).join(', ')})`;
  const load = (first: string) => `${keys.load(`kAt + (${first}) * ${headDim / 8}u`)}
    ${values.load(`vAt + (${first}) * ${headDim / 8}u`)}`;
  return {
    key,
    directives: MATRIX_DIRECTIVES,
    bindings: { ...INPUTS, ...maskBindings(shape), dQ: write('vec4f') },
    params: PARAMS,
    body: /* wgsl */ `${shared(shape, 1)}
${MAIN}
  let firstOwned = (groups.x - 1u - group.x) * ${OWNED}u;
  let lastQuery = min(firstOwned + ${OWNED}u, p.queryLength) - 1u;
  let row = local % ${OWNED}u;
  let half = local / ${OWNED}u;
  let query = min(firstOwned + row, lastQuery);
  let begin = firstOf(batch, query);
  let end = endOf(batch, query);
  ${keyRange(shape, STEP)}
  let sum = logSumExp[p.logSumExpAt + statisticAt(batch, head, query)] * ${LOG2_E};
  let mean = delta[p.deltaAt + statisticAt(batch, head, query)] * factor;
  let kAt = p.kPart + headAt * p.perKey;
  let vAt = p.vPart + headAt * p.perKey;
  let ownedAt = select(p.qPart, p.gPart, role == 1u) + headAt * p.perQuery + (firstOwned + block * 32u) * ${headDim / 8}u;
  ${ownedSquares(headDim, 'x', DOWN, 'ownedAt')}
  ${zeroSquares(headDim, 'r', DOWN)}
  ${keys.registers}
  ${values.registers}
  if (tileStart < tileEnd) { ${load('tileStart')} }
  for (var first = tileStart; first < tileEnd; first += ${STEP}u) {
    ${keys.keep('staged', '0u')}
    ${values.keep('staged', `${STEP * stride}u`)}
    workgroupBarrier();
    if (first + ${STEP}u < tileEnd) { ${load(`first + ${STEP}u`)} }
    ${productsText(headDim)}
    workgroupBarrier();
    let at = row * ${PRODUCT_STRIDE}u + half * ${groups}u;
    // Of the row's keys, counted from the first one here.
    let until = i32(end) - i32(first + half * ${STEP / 2}u);
    ${shape.hasFirst ? `let since = i32(begin) - i32(first + half * ${STEP / 2}u);` : ''}
    ${each(
      groups,
      (c) => `let likely${c} = exp2(min(products[at + ${c}u] * scale - sum, vec4f()));
    let weight${c} = select(vec4f(), likely${c}, (${four(c)} < vec4i(until))${shape.hasFirst ? ` & (${four(c)} >= vec4i(since))` : ''});
    let d${c} = bounded(weight${c} * (products[at + ${OWNED * PRODUCT_STRIDE + c}u] - mean) * p.scale);`,
    )}
    ${each(groups / 2, (c) => `weights[row * ${WEIGHT_STRIDE}u + half * ${groups / 2}u + ${c}u] = halvesOf(d${2 * c}, d${2 * c + 1});`)}
    workgroupBarrier();
    ${each(
      STEP / 32,
      (s) => `{
      let step = role * ${STEP / 32}u + ${s}u;
      ${each(DOWN, (i) => `let left${i} = ${left('weights', `(block * 32u + ${16 * i}u) * ${WEIGHT_STRIDE}u + 2u * step`, WEIGHT_STRIDE)};`)}
      ${each(
        squares,
        (d) => `{
        let other = ${right('staged', `step * ${16 * stride}u + ${2 * d}u`, stride)};
        ${each(DOWN, (i) => `r${i}_${d} = subgroupMatrixMultiplyAccumulate(left${i}, other, r${i}_${d});`)}
      }`,
      )}
    }`,
    )}
    workgroupBarrier();
  }
  // Both roles' sums, 16 rows of each block at a time.
  ${each(
    DOWN,
    (i) => `
  ${sumsOf(headDim, i)}
  workgroupBarrier();
  for (var e = local; e < ${8 * headDim}u; e += 128u) {
    let other = e / ${4 * headDim}u;
    let inside = e % ${4 * headDim}u;
    let r = firstOwned + other * 32u + ${16 * i}u + inside / ${headDim / 4}u;
    if (r <= lastQuery) {
      let to = ((batch * p.queryLength + r) * p.heads + head) * ${headDim / 4}u + inside % ${headDim / 4}u;
      let source = other * ${8 * headDim}u + inside;
      dQ[p.dQAt / 4u + to] = (products[source] + products[source + ${4 * headDim}u]) * inverse;
    }
  }
  workgroupBarrier();`,
  )}
}`,
  };
}
