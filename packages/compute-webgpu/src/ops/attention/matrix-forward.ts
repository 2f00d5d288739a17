import type { AttentionArgs } from '@qlorajs/compute';
import { type KernelSpec, read, write } from '../../device/kernel.js';
import type { Engine } from '../../engine.js';
import { Memo } from '../../memo.js';
import {
  each,
  KEY_RANGE,
  leftHalves,
  leftOf,
  MAIN,
  MATRIX_DIRECTIVES,
  OWNED,
  RESULT,
  rightOf,
  rightTransposed,
  rowVectors,
  squaresOf,
  stageHalves,
  storeSquares,
} from './matrix-tile.js';
import {
  type AttentionShape,
  MASK_PARAMS,
  maskBindings,
  maskFunctions,
  maskParams,
  maskTensors,
  shapeKey,
} from './tile.js';

/** Keys of a tile; a lane has a column of the scores. */
const KEYS = 32;
/** Elements from one row of scores, and of probabilities, to the next. */
const SCORE_STRIDE = KEYS + 4;
const HALF_STRIDE = KEYS + 8;

const kernels = new Memo<KernelSpec>();

/** The scores of the subgroup's 16 rows: q k^T, unscaled. */
function scoresText(headDim: number): string {
  return each(
    KEYS / 16,
    (j) => `{
      var c = ${RESULT}();
      ${each(squaresOf(headDim), (s) => `c = subgroupMatrixMultiplyAccumulate(q${s}, ${rightTransposed(headDim, 'tile', `${16 * j}u`, s)}, c);`)}
      subgroupMatrixStore<row_major>(&scores, subgroup * ${16 * SCORE_STRIDE}u + ${16 * j}u, c, ${SCORE_STRIDE}u);
    }`,
  );
}

/**
 * Two passes over the keys: the first finds each query's log-sum-exp, so that the second can add
 * finished probabilities times v in subgroup matrices, which cannot be rescaled row by row as the
 * running form of FlashAttention needs it.
 */
function forwardKernel(key: string, shape: AttentionShape): KernelSpec {
  const { headDim } = shape;
  const squares = squaresOf(headDim);
  return {
    key,
    directives: MATRIX_DIRECTIVES,
    bindings: {
      q: read('vec4f'),
      k: read('vec4f'),
      v: read('vec4f'),
      ...maskBindings(shape),
      out: write(),
      logSumExp: write(),
    },
    params: MASK_PARAMS,
    body: /* wgsl */ `
const NONE = -3.4028234e38;
var<workgroup> tile: array<vec4u, ${OWNED * rowVectors(headDim)}>;
var<workgroup> scores: array<f32, ${OWNED * SCORE_STRIDE}>;
var<workgroup> probabilities: array<f16, ${OWNED * HALF_STRIDE}>;
var<workgroup> sums: array<f32, ${OWNED}>;
var<workgroup> begins: array<u32, ${OWNED}>;
var<workgroup> ends: array<u32, ${OWNED}>;
${maskFunctions(shape)}
${stageHalves(shape, 'q', { tile: 'tile', count: OWNED, limit: 'p.queryLength' })}
${stageHalves(shape, 'k', { tile: 'tile', count: KEYS, limit: 'p.keyLength' })}
${stageHalves(shape, 'v', { tile: 'tile', count: KEYS, limit: 'p.keyLength' })}
${MAIN}
  ${KEY_RANGE}
  stage_q(firstOwned, 0u, batch, head, local);
  if (local < ${OWNED}u) {
    let query = min(firstOwned + local, lastQuery);
    begins[local] = firstOf(batch, query);
    ends[local] = endOf(batch, query);
  }
  workgroupBarrier();
  ${each(squares, (s) => `let q${s} = ${leftOf(headDim, 'tile', 'subgroup * 16u', s)};`)}
  workgroupBarrier();

  // Two lanes a row, each over half of the columns, from places apart, against bank conflicts.
  let own = subgroup * 16u + lane / 2u;
  let begin = begins[own];
  let end = ends[own];
  var largest = NONE;
  var sum = 0.0;
  for (var first = tileStart; first < tileEnd; first += ${KEYS}u) {
    stage_k(first, 0u, batch, head, local);
    workgroupBarrier();
    ${scoresText(headDim)}
    workgroupBarrier();
    var grown = largest;
    ${each(
      KEYS / 2,
      (i) => `let column${i} = (lane % 2u) * ${KEYS / 2}u + (${i}u + lane) % ${KEYS / 2}u;
    let visible${i} = first + column${i} >= begin && first + column${i} < end;
    let score${i} = select(NONE, scores[own * ${SCORE_STRIDE}u + column${i}] * p.scale, visible${i});
    grown = max(grown, score${i});`,
    )}
    sum *= exp(largest - grown);
    ${each(KEYS / 2, (i) => `sum += select(0.0, exp(score${i} - grown), visible${i});`)}
    largest = grown;
  }
  workgroupBarrier();
  scores[own * ${SCORE_STRIDE}u + (lane % 2u) * 2u] = largest;
  scores[own * ${SCORE_STRIDE}u + (lane % 2u) * 2u + 1u] = sum;
  workgroupBarrier();
  if (lane % 2u == 0u) {
    let other = scores[own * ${SCORE_STRIDE}u + 2u];
    let both = max(largest, other);
    let total = sum * exp(largest - both) + scores[own * ${SCORE_STRIDE}u + 3u] * exp(other - both);
    let value = select(0.0, both + log(total), total > 0.0);
    sums[own] = value;
    if (firstOwned + own < p.queryLength) {
      logSumExp[p.logSumExpAt + (batch * p.heads + head) * p.queryLength + firstOwned + own] = value;
    }
  }
  workgroupBarrier();

  ${each(squares, (d) => `var o${d} = ${RESULT}();`)}
  for (var first = tileStart; first < tileEnd; first += ${KEYS}u) {
    stage_k(first, 0u, batch, head, local);
    stage_v(first, ${KEYS}u, batch, head, local);
    workgroupBarrier();
    ${scoresText(headDim)}
    workgroupBarrier();
    let key = first + lane;
    for (var i = 0u; i < 16u; i++) {
      let row = subgroup * 16u + i;
      let visible = key >= begins[row] && key < ends[row];
      let score = scores[row * ${SCORE_STRIDE}u + lane] * p.scale - sums[row];
      let probability = select(0.0, exp(min(score, 0.0)), visible);
      probabilities[row * ${HALF_STRIDE}u + lane] = f16(probability);
    }
    workgroupBarrier();
    ${each(
      KEYS / 16,
      (s) => `{
      let left = ${leftHalves('probabilities', HALF_STRIDE, s)};
      ${each(squares, (d) => `o${d} = subgroupMatrixMultiplyAccumulate(left, ${rightOf(headDim, 'tile', `${KEYS + 16 * s}u`, d)}, o${d});`)}
    }`,
    )}
    workgroupBarrier();
  }
  ${storeSquares(shape, 'o', 'out', { through: 'scores', limit: 'p.queryLength' })}
}`,
  };
}

export function attentionMatrix(engine: Engine, args: AttentionArgs): void {
  const { q, k, v, out, logSumExp, headDim, batch, heads, queryLength } = args;
  const shape: AttentionShape = {
    headDim,
    tile: OWNED,
    hasStart: args.queryStart !== null,
    hasFirst: args.firstKeys !== null,
  };
  const key = `attention matrix ${shapeKey(shape)}`;
  const kernel = kernels.get(key, () => forwardKernel(key, shape));
  const tensors = { q, k, v, ...maskTensors(args), out, logSumExp };
  const groups = [Math.ceil(queryLength / OWNED), heads, batch] as const;
  engine.recorder.dispatch(kernel, tensors, maskParams(args), groups);
}
