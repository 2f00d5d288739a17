import type { AttentionBackwardArgs } from '@qlorajs/compute';
import { type KernelSpec, read, write } from '../../device/kernel.js';
import { type Engine, flatGroups } from '../../engine.js';
import { Memo } from '../../memo.js';
import { eachRow, REDUCE, WIDTH } from '../../wgsl/flat.js';
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
  THREADS,
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

/** Rows of the tiles that a workgroup goes over; a lane has a column of the scores. */
const STEP = 32;
const SCORE_STRIDE = STEP + 4;
const HALF_STRIDE = STEP + 8;

const kernels = new Memo<KernelSpec>();

/** Threads that share a head's dot product. */
const SHARE = 8;

/** delta = rowsum(dOut * out) by head, and the largest |dOut| of every row. */
const DELTA: KernelSpec<
  'dOut' | 'out' | 'delta' | 'maxima',
  'rows' | 'heads' | 'headDim' | 'queryLength'
> = {
  key: 'attention delta and maxima',
  bindings: { dOut: read(), out: read(), delta: write(), maxima: write() },
  params: { rows: 'u32', heads: 'u32', headDim: 'u32', queryLength: 'u32' },
  body: eachRow(
    /* wgsl */ `
  var largest = 0.0;
  for (var first = 0u; first < p.heads; first += ${WIDTH / SHARE}u) {
    let head = first + local / ${SHARE}u;
    var sum = 0.0;
    if (head < p.heads) {
      let base = (row * p.heads + head) * p.headDim;
      for (var d = local % ${SHARE}u; d < p.headDim; d += ${SHARE}u) {
        let g = dOut[p.dOutAt + base + d];
        largest = max(largest, abs(g));
        sum += g * out[p.outAt + base + d];
      }
    }
    partials[local] = sum;
    workgroupBarrier();
    if (head < p.heads && local % ${SHARE}u == 0u) {
      for (var i = 1u; i < ${SHARE}u; i++) { sum += partials[local + i]; }
      let to = ((row / p.queryLength) * p.heads + head) * p.queryLength + row % p.queryLength;
      delta[p.deltaAt + to] = sum;
    }
    workgroupBarrier();
  }
  let all = reduceMax(largest, local);
  if (local == 0u) { maxima[p.maximaAt + row] = all; }`,
    REDUCE,
  ),
};

/**
 * Gradients are scaled by one power of two, the largest to [2, 4), so that none of weight underflows
 * in f16 and their products with v do not overflow.
 */
const FACTOR = /* wgsl */ `
var<workgroup> found: array<f32, ${THREADS}>;
var<private> factor: f32;
var<private> inverse: f32;
fn findFactor(local: u32) {
  var largest = 0.0;
  for (var i = local; i < p.rows; i += ${THREADS}u) { largest = max(largest, maxima[p.maximaAt + i]); }
  found[local] = largest;
  for (var step = ${THREADS / 2}u; step > 0u; step >>= 1u) {
    workgroupBarrier();
    if (local < step) { found[local] = max(found[local], found[local + step]); }
  }
  workgroupBarrier();
  let exponent = clamp((bitcast<u32>(found[0]) >> 23u) & 255u, 2u, 253u);
  factor = bitcast<f32>((255u - exponent) << 23u);
  inverse = bitcast<f32>((exponent - 1u) << 23u);
}
fn bounded(value: f32) -> f16 { return f16(clamp(value, -65000.0, 65000.0)); }
fn statisticAt(batch: u32, head: u32, query: u32) -> u32 {
  return (batch * p.heads + head) * p.queryLength + query;
}`;

const INPUTS = {
  q: read('vec4f'),
  k: read('vec4f'),
  v: read('vec4f'),
  dOut: read('vec4f'),
  logSumExp: read(),
  delta: read(),
  maxima: read(),
};
const PARAMS = { ...MASK_PARAMS, rows: 'u32' } as const;

/** `tile`: rows [0, 32) and [32, 64) of what is gone over, or the 64 owned rows before that. */
function shared(shape: AttentionShape): string {
  return /* wgsl */ `
var<workgroup> tile: array<vec4u, ${OWNED * rowVectors(shape.headDim)}>;
var<workgroup> scores: array<f32, ${OWNED * SCORE_STRIDE}>;
var<workgroup> slopes: array<f32, ${OWNED * SCORE_STRIDE}>;
var<workgroup> dScores: array<f16, ${OWNED * HALF_STRIDE}>;
${FACTOR}
${maskFunctions(shape)}`;
}

/** scores and slopes of the subgroup's rows: left0… and right0… times rows [0, 32) and [32, 64). */
function products(headDim: number, left: string, right: string): string {
  return each(STEP / 16, (j) =>
    [
      ['scores', left, 16 * j],
      ['slopes', right, STEP + 16 * j],
    ]
      .map(
        ([name, squares, row]) => `{
      var c = ${RESULT}();
      ${each(squaresOf(headDim), (s) => `c = subgroupMatrixMultiplyAccumulate(${squares}${s}, ${rightTransposed(headDim, 'tile', `${row}u`, s)}, c);`)}
      subgroupMatrixStore<row_major>(&${name}, subgroup * ${16 * SCORE_STRIDE}u + ${16 * j}u, c, ${SCORE_STRIDE}u);
    }`,
      )
      .join('\n'),
  );
}

/** Adds `halves` (the subgroup's rows) times rows `row`… of the tile to the squares `name0`…. */
function accumulate(headDim: number, name: string, halves: string, row: number): string {
  return each(
    STEP / 16,
    (s) => `{
      let left = ${leftHalves(halves, HALF_STRIDE, s)};
      ${each(squaresOf(headDim), (d) => `${name}${d} = subgroupMatrixMultiplyAccumulate(left, ${rightOf(headDim, 'tile', `${row + 16 * s}u`, d)}, ${name}${d});`)}
    }`,
  );
}

/** dQ = dS k: a workgroup owns 64 queries. */
function queryKernel(key: string, shape: AttentionShape): KernelSpec {
  const { headDim } = shape;
  const squares = squaresOf(headDim);
  return {
    key,
    directives: MATRIX_DIRECTIVES,
    bindings: { ...INPUTS, ...maskBindings(shape), dQ: write() },
    params: PARAMS,
    body: /* wgsl */ `${shared(shape)}
var<workgroup> sums: array<f32, ${OWNED}>;
var<workgroup> deltas: array<f32, ${OWNED}>;
var<workgroup> begins: array<u32, ${OWNED}>;
var<workgroup> ends: array<u32, ${OWNED}>;
${stageHalves(shape, 'q', { tile: 'tile', count: OWNED, limit: 'p.queryLength' })}
${stageHalves(shape, 'dOut', { tile: 'tile', count: OWNED, limit: 'p.queryLength', factor: ' * factor' })}
${stageHalves(shape, 'k', { tile: 'tile', count: STEP, limit: 'p.keyLength' })}
${stageHalves(shape, 'v', { tile: 'tile', count: STEP, limit: 'p.keyLength' })}
${MAIN}
  ${KEY_RANGE}
  findFactor(local);
  if (local < ${OWNED}u) {
    let query = min(firstOwned + local, lastQuery);
    begins[local] = firstOf(batch, query);
    ends[local] = endOf(batch, query);
    sums[local] = logSumExp[p.logSumExpAt + statisticAt(batch, head, query)];
    deltas[local] = delta[p.deltaAt + statisticAt(batch, head, query)] * factor;
  }
  stage_q(firstOwned, 0u, batch, head, local);
  workgroupBarrier();
  ${each(squares, (s) => `let q${s} = ${leftOf(headDim, 'tile', 'subgroup * 16u', s)};`)}
  workgroupBarrier();
  stage_dOut(firstOwned, 0u, batch, head, local);
  workgroupBarrier();
  ${each(squares, (s) => `let g${s} = ${leftOf(headDim, 'tile', 'subgroup * 16u', s)};`)}
  workgroupBarrier();
  ${each(squares, (d) => `var r${d} = ${RESULT}();`)}
  for (var first = tileStart; first < tileEnd; first += ${STEP}u) {
    stage_k(first, 0u, batch, head, local);
    stage_v(first, ${STEP}u, batch, head, local);
    workgroupBarrier();
    ${products(headDim, 'q', 'g')}
    workgroupBarrier();
    let key = first + lane;
    for (var i = 0u; i < 16u; i++) {
      let row = subgroup * 16u + i;
      let at = row * ${SCORE_STRIDE}u + lane;
      let visible = key >= begins[row] && key < ends[row];
      let probability = exp(min(scores[at] * p.scale - sums[row], 0.0));
      let slope = probability * (slopes[at] - deltas[row]) * p.scale;
      dScores[row * ${HALF_STRIDE}u + lane] = bounded(select(0.0, slope, visible));
    }
    workgroupBarrier();
    ${accumulate(headDim, 'r', 'dScores', 0)}
    workgroupBarrier();
  }
  ${storeSquares(shape, 'r', 'dQ', { through: 'scores', limit: 'p.queryLength', factor: ' * inverse' })}
}`,
  };
}

/** dK = dS^T q and dV = P^T dOut: a workgroup owns 64 keys, and a row of the scores is a key. */
function keyKernel(key: string, shape: AttentionShape): KernelSpec {
  const { headDim } = shape;
  const squares = squaresOf(headDim);
  return {
    key,
    directives: MATRIX_DIRECTIVES,
    bindings: { ...INPUTS, ...maskBindings(shape), dK: write(), dV: write() },
    params: PARAMS,
    body: /* wgsl */ `${shared(shape)}
var<workgroup> probabilities: array<f16, ${OWNED * HALF_STRIDE}>;
${stageHalves(shape, 'q', { tile: 'tile', count: STEP, limit: 'p.queryLength' })}
${stageHalves(shape, 'dOut', { tile: 'tile', count: STEP, limit: 'p.queryLength', factor: ' * factor' })}
${stageHalves(shape, 'k', { tile: 'tile', count: OWNED, limit: 'p.keyLength' })}
${stageHalves(shape, 'v', { tile: 'tile', count: OWNED, limit: 'p.keyLength' })}
${MAIN}
  findFactor(local);
  stage_k(firstOwned, 0u, batch, head, local);
  workgroupBarrier();
  ${each(squares, (s) => `let k${s} = ${leftOf(headDim, 'tile', 'subgroup * 16u', s)};`)}
  workgroupBarrier();
  stage_v(firstOwned, 0u, batch, head, local);
  workgroupBarrier();
  ${each(squares, (s) => `let v${s} = ${leftOf(headDim, 'tile', 'subgroup * 16u', s)};`)}
  workgroupBarrier();
  ${each(squares, (d) => `var dk${d} = ${RESULT}();\nvar dv${d} = ${RESULT}();`)}
  // Earlier queries see none of the owned keys.
  for (var first = firstOwned; first < p.queryLength; first += ${STEP}u) {
    stage_q(first, 0u, batch, head, local);
    stage_dOut(first, ${STEP}u, batch, head, local);
    workgroupBarrier();
    ${products(headDim, 'k', 'v')}
    workgroupBarrier();
    let query = min(first + lane, p.queryLength - 1u);
    let begin = firstOf(batch, query);
    let end = select(0u, endOf(batch, query), first + lane < p.queryLength);
    let sum = logSumExp[p.logSumExpAt + statisticAt(batch, head, query)];
    let mean = delta[p.deltaAt + statisticAt(batch, head, query)] * factor;
    for (var i = 0u; i < 16u; i++) {
      let row = subgroup * 16u + i;
      let key = firstOwned + row;
      let at = row * ${SCORE_STRIDE}u + lane;
      let likely = exp(min(scores[at] * p.scale - sum, 0.0));
      let probability = select(0.0, likely, key >= begin && key < end);
      probabilities[row * ${HALF_STRIDE}u + lane] = f16(probability);
      dScores[row * ${HALF_STRIDE}u + lane] = bounded(probability * (slopes[at] - mean) * p.scale);
    }
    workgroupBarrier();
    ${accumulate(headDim, 'dv', 'probabilities', STEP)}
    ${accumulate(headDim, 'dk', 'dScores', 0)}
    workgroupBarrier();
  }
  ${storeSquares(shape, 'dk', 'dK', { through: 'scores', limit: 'p.keyLength', factor: ' * inverse' })}
  ${storeSquares(shape, 'dv', 'dV', { through: 'scores', limit: 'p.keyLength', factor: ' * inverse' })}
}`,
  };
}

export function attentionBackwardMatrix(engine: Engine, args: AttentionBackwardArgs): void {
  const { q, k, v, dOut, out, logSumExp, delta, dQ, dK, dV } = args;
  const { headDim, batch, heads, queryLength, keyLength } = args;
  const { recorder } = engine;
  const rows = batch * queryLength;
  const maxima = engine.scratch.get('attention maxima', 'f32', rows);
  const sizes = { rows, heads, headDim, queryLength };
  recorder.dispatch(DELTA, { dOut, out, delta, maxima }, sizes, flatGroups(rows));
  const shape: AttentionShape = {
    headDim,
    tile: OWNED,
    hasStart: args.queryStart !== null,
    hasFirst: args.firstKeys !== null,
  };
  const inputs = { q, k, v, dOut, logSumExp, delta, maxima, ...maskTensors(args) };
  const params = { ...maskParams(args), rows };
  const tiles = (length: number) => [Math.ceil(length / OWNED), heads, batch] as const;
  const keyQ = `attention matrix dQ ${shapeKey(shape)}`;
  const kernelQ = kernels.get(keyQ, () => queryKernel(keyQ, shape));
  recorder.dispatch(kernelQ, { ...inputs, dQ }, params, tiles(queryLength));
  const keyKV = `attention matrix dKV ${shapeKey(shape)}`;
  const kernelKV = kernels.get(keyKV, () => keyKernel(keyKV, shape));
  recorder.dispatch(kernelKV, { ...inputs, dK, dV }, params, tiles(keyLength));
}
