import { type AttentionBackwardArgs, checkAttentionBackward } from '@qlorajs/compute';
import { type KernelSpec, read, write } from '../../device/kernel.js';
import { type Engine, flatGroups } from '../../engine.js';
import { Memo } from '../../memo.js';
import { eachElement, WIDTH } from '../../wgsl/flat.js';
import { attentionBackwardMatrix } from './matrix-backward.js';
import { suitsMatrices } from './matrix-tile.js';
import {
  type AttentionShape,
  dots,
  LANES,
  MASK_PARAMS,
  maskBindings,
  maskFunctions,
  maskParams,
  maskTensors,
  shapeKey,
  stage,
  strideOf,
  tileFor,
  unstage,
  vectorsOf,
} from './tile.js';

const kernels = new Memo<KernelSpec>();

/** delta = rowsum(dOut * out), a thread a row of a head. */
const DELTA: KernelSpec<'dOut' | 'out' | 'delta', 'size' | 'heads' | 'headDim' | 'queryLength'> = {
  key: 'attention delta',
  bindings: { dOut: read(), out: read(), delta: write() },
  params: { size: 'u32', heads: 'u32', headDim: 'u32', queryLength: 'u32' },
  body: eachElement(/* wgsl */ `
  let head = i % p.heads;
  let row = i / p.heads;
  var sum = 0.0;
  for (var d = 0u; d < p.headDim; d++) {
    sum += dOut[p.dOutAt + i * p.headDim + d] * out[p.outAt + i * p.headDim + d];
  }
  let to = ((row / p.queryLength) * p.heads + head) * p.queryLength + row % p.queryLength;
  delta[p.deltaAt + to] = sum;`),
};

/** Staged tiles that both backward kernels share. */
function tiles(shape: AttentionShape): string {
  const size = shape.tile * strideOf(shape.headDim);
  const square = shape.tile * (shape.tile + 1);
  return /* wgsl */ `
var<workgroup> queries: array<vec4f, ${size}>;
var<workgroup> gradients: array<vec4f, ${size}>;
var<workgroup> keys: array<vec4f, ${size}>;
var<workgroup> values: array<vec4f, ${size}>;
var<workgroup> dScores: array<f32, ${square}>;
${maskFunctions(shape)}
${stage(shape, 'q', 'queries', 'p.queryLength')}
${stage(shape, 'dOut', 'gradients', 'p.queryLength')}
${stage(shape, 'k', 'keys', 'p.keyLength')}
${stage(shape, 'v', 'values', 'p.keyLength')}
fn statisticAt(batch: u32, head: u32, query: u32) -> u32 {
  return (batch * p.heads + head) * p.queryLength + query;
}`;
}

const INPUTS = { q: read(), k: read(), v: read(), dOut: read(), logSumExp: read(), delta: read() };

/** dQ = dS k: a workgroup owns a tile of queries. */
function queryKernel(key: string, shape: AttentionShape): KernelSpec {
  const { headDim, tile } = shape;
  const stride = strideOf(headDim);
  const parts = vectorsOf(headDim) / LANES;
  return {
    key,
    bindings: { ...INPUTS, ...maskBindings(shape), dQ: write() },
    params: MASK_PARAMS,
    body: /* wgsl */ `${tiles(shape)}
@compute @workgroup_size(${tile * LANES})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  let head = group.y;
  let batch = group.z;
  let firstQuery = group.x * ${tile}u;
  let lastQuery = min(firstQuery + ${tile}u, p.queryLength) - 1u;
  let row = local / ${LANES}u;
  let lane = local % ${LANES}u;
  let query = min(firstQuery + row, lastQuery);
  let begin = firstOf(batch, query);
  let end = endOf(batch, query);
  let tileEnd = endOf(batch, lastQuery);
  let lse = logSumExp[p.logSumExpAt + statisticAt(batch, head, query)];
  let own = delta[p.deltaAt + statisticAt(batch, head, query)];
  stage_q(firstQuery, batch, head, local);
  stage_dOut(firstQuery, batch, head, local);
  var result: array<vec4f, ${parts}>;
  for (var first = 0u; first < tileEnd; first += ${tile}u) {
    workgroupBarrier();
    stage_k(first, batch, head, local);
    stage_v(first, batch, head, local);
    workgroupBarrier();
    ${dots(shape, 'queries', 'keys', 'products')}
    ${dots(shape, 'gradients', 'values', 'slopes')}
    for (var i = 0u; i < ${tile / LANES}u; i++) {
      let key = first + i * ${LANES}u + lane;
      let probability = exp(min(products[i] * p.scale - lse, 0.0));
      let slope = probability * (slopes[i] - own) * p.scale;
      let visible = key >= begin && key < end;
      dScores[row * ${tile + 1}u + i * ${LANES}u + lane] = select(0.0, slope, visible);
    }
    workgroupBarrier();
    for (var j = 0u; j < ${tile}u; j++) {
      let slope = dScores[row * ${tile + 1}u + j];
      for (var i = 0u; i < ${parts}u; i++) {
        result[i] += slope * keys[j * ${stride}u + i * ${LANES}u + lane];
      }
    }
  }
  if (firstQuery + row <= lastQuery) {
    ${unstage(shape, 'dQ', 'result', '(batch * p.queryLength + query)')}
  }
}`,
  };
}

/** dK = dS^T q and dV = P^T dOut: a workgroup owns a tile of keys, and `row` is a key. */
function keyKernel(key: string, shape: AttentionShape): KernelSpec {
  const { headDim, tile } = shape;
  const stride = strideOf(headDim);
  const parts = vectorsOf(headDim) / LANES;
  return {
    key,
    bindings: { ...INPUTS, ...maskBindings(shape), dK: write(), dV: write() },
    params: MASK_PARAMS,
    body: /* wgsl */ `${tiles(shape)}
var<workgroup> probabilities: array<f32, ${tile * (tile + 1)}>;
@compute @workgroup_size(${tile * LANES})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  let head = group.y;
  let batch = group.z;
  let firstKey = group.x * ${tile}u;
  let row = local / ${LANES}u;
  let lane = local % ${LANES}u;
  let ownKey = firstKey + row;
  stage_k(firstKey, batch, head, local);
  stage_v(firstKey, batch, head, local);
  var resultK: array<vec4f, ${parts}>;
  var resultV: array<vec4f, ${parts}>;
  // Earlier queries see none of the tile's keys.
  for (var first = firstKey; first < p.queryLength; first += ${tile}u) {
    workgroupBarrier();
    stage_q(first, batch, head, local);
    stage_dOut(first, batch, head, local);
    workgroupBarrier();
    ${dots(shape, 'keys', 'queries', 'products')}
    ${dots(shape, 'values', 'gradients', 'slopes')}
    for (var i = 0u; i < ${tile / LANES}u; i++) {
      let query = min(first + i * ${LANES}u + lane, p.queryLength - 1u);
      let inside = first + i * ${LANES}u + lane < p.queryLength;
      let at = statisticAt(batch, head, query);
      let visible = inside && ownKey >= firstOf(batch, query) && ownKey < endOf(batch, query);
      let likely = exp(min(products[i] * p.scale - logSumExp[p.logSumExpAt + at], 0.0));
      let probability = select(0.0, likely, visible);
      let to = row * ${tile + 1}u + i * ${LANES}u + lane;
      probabilities[to] = probability;
      dScores[to] = probability * (slopes[i] - delta[p.deltaAt + at]) * p.scale;
    }
    workgroupBarrier();
    for (var j = 0u; j < ${tile}u; j++) {
      let probability = probabilities[row * ${tile + 1}u + j];
      let slope = dScores[row * ${tile + 1}u + j];
      for (var i = 0u; i < ${parts}u; i++) {
        let at = j * ${stride}u + i * ${LANES}u + lane;
        resultV[i] += probability * gradients[at];
        resultK[i] += slope * queries[at];
      }
    }
  }
  if (ownKey < p.keyLength) {
    { ${unstage(shape, 'dK', 'resultK', '(batch * p.keyLength + ownKey)')} }
    { ${unstage(shape, 'dV', 'resultV', '(batch * p.keyLength + ownKey)')} }
  }
}`,
  };
}

export function attentionBackward(engine: Engine, args: AttentionBackwardArgs): void {
  checkAttentionBackward(args);
  const { q, k, v, dOut, out, logSumExp, delta, dQ, dK, dV } = args;
  const { headDim, batch, heads, queryLength, keyLength } = args;
  if (suitsMatrices(engine, args, [q, k, v, dOut], [dQ, dK, dV])) {
    attentionBackwardMatrix(engine, args);
    return;
  }
  const { recorder } = engine;
  const size = batch * queryLength * heads;
  const groups = flatGroups(Math.ceil(size / WIDTH));
  recorder.dispatch(DELTA, { dOut, out, delta }, { size, heads, headDim, queryLength }, groups);
  const shape: AttentionShape = {
    headDim,
    tile: tileFor(engine.workgroupMemory, headDim, 4, 2),
    hasStart: args.queryStart !== null,
    hasFirst: args.firstKeys !== null,
  };
  const inputs = { q, k, v, dOut, logSumExp, delta, ...maskTensors(args) };
  const params = maskParams(args);
  const keyQ = `attention dQ ${shapeKey(shape)}`;
  const kernelQ = kernels.get(keyQ, () => queryKernel(keyQ, shape));
  const tilesOf = (rows: number) => [Math.ceil(rows / shape.tile), heads, batch] as const;
  recorder.dispatch(kernelQ, { ...inputs, dQ }, params, tilesOf(queryLength));
  const keyKV = `attention dKV ${shapeKey(shape)}`;
  const kernelKV = kernels.get(keyKV, () => keyKernel(keyKV, shape));
  recorder.dispatch(kernelKV, { ...inputs, dK, dV }, params, tilesOf(keyLength));
}
