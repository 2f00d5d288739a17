import { type AttentionArgs, checkAttention } from '@qlorajs/compute';
import { type KernelSpec, read, write } from '../../device/kernel.js';
import type { Engine } from '../../engine.js';
import { Memo } from '../../memo.js';
import { attentionFewQueries, isFewQueries } from './few-queries.js';
import { attentionMatrix } from './matrix-forward.js';
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

/**
 * A workgroup takes a tile of queries of one head and goes over the keys tile by tile with a running
 * maximum and sum, so that the probabilities never leave workgroup memory (FlashAttention,
 * https://arxiv.org/abs/2205.14135).
 */
function forwardKernel(key: string, shape: AttentionShape): KernelSpec {
  const { headDim, tile } = shape;
  const stride = strideOf(headDim);
  const parts = vectorsOf(headDim) / LANES;
  return {
    key,
    bindings: {
      q: read(),
      k: read(),
      v: read(),
      ...maskBindings(shape),
      out: write(),
      logSumExp: write(),
    },
    params: MASK_PARAMS,
    body: /* wgsl */ `
var<workgroup> queries: array<vec4f, ${tile * stride}>;
var<workgroup> keys: array<vec4f, ${tile * stride}>;
var<workgroup> scores: array<f32, ${tile * (tile + 1)}>;
const NONE = -3.4028234e38;
${maskFunctions(shape)}
${stage(shape, 'q', 'queries', 'p.queryLength')}
${stage(shape, 'k', 'keys', 'p.keyLength')}
${stage(shape, 'v', 'keys', 'p.keyLength')}
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
  // What the tile's queries see between them.
  let tileEnd = endOf(batch, lastQuery);
  var tileStart = firstOf(batch, firstQuery);
  for (var other = firstQuery + 1u; other <= lastQuery; other++) {
    tileStart = min(tileStart, firstOf(batch, other));
  }
  stage_q(firstQuery, batch, head, local);
  var largest = NONE;
  var sum = 0.0;
  var result: array<vec4f, ${parts}>;
  for (var first = tileStart; first < tileEnd; first += ${tile}u) {
    workgroupBarrier();
    stage_k(first, batch, head, local);
    workgroupBarrier();
    ${dots(shape, 'queries', 'keys', 'products')}
    for (var i = 0u; i < ${tile / LANES}u; i++) {
      let key = first + i * ${LANES}u + lane;
      let visible = key >= begin && key < end;
      scores[row * ${tile + 1}u + i * ${LANES}u + lane] = select(NONE, products[i] * p.scale, visible);
    }
    workgroupBarrier();
    stage_v(first, batch, head, local);
    var grown = largest;
    for (var j = 0u; j < ${tile}u; j++) { grown = max(grown, scores[row * ${tile + 1}u + j]); }
    workgroupBarrier();
    let shrink = exp(largest - grown);
    sum *= shrink;
    for (var i = 0u; i < ${parts}u; i++) { result[i] *= shrink; }
    largest = grown;
    for (var j = 0u; j < ${tile}u; j++) {
      let score = scores[row * ${tile + 1}u + j];
      let probability = select(exp(score - grown), 0.0, score == NONE);
      sum += probability;
      for (var i = 0u; i < ${parts}u; i++) {
        result[i] += probability * keys[j * ${stride}u + i * ${LANES}u + lane];
      }
    }
  }
  if (firstQuery + row <= lastQuery) {
    let seen = sum > 0.0;
    let factor = select(0.0, 1.0 / sum, seen);
    for (var i = 0u; i < ${parts}u; i++) { result[i] *= factor; }
    ${unstage(shape, 'out', 'result', '(batch * p.queryLength + query)')}
    if (lane == 0u) {
      let at = p.logSumExpAt + (batch * p.heads + head) * p.queryLength + query;
      logSumExp[at] = select(0.0, largest + log(sum), seen);
    }
  }
}`,
  };
}

export function attention(engine: Engine, args: AttentionArgs): void {
  checkAttention(args);
  const { q, k, v, out, logSumExp, headDim, batch, heads, queryLength } = args;
  if (isFewQueries(args)) {
    attentionFewQueries(engine, args);
    return;
  }
  if (suitsMatrices(engine, args, [q, k, v], [out, logSumExp])) {
    attentionMatrix(engine, args);
    return;
  }
  const shape: AttentionShape = {
    headDim,
    tile: tileFor(engine.workgroupMemory, headDim, 2, 1),
    hasStart: args.queryStart !== null,
    hasFirst: args.firstKeys !== null,
  };
  const key = `attention ${shapeKey(shape)}`;
  const kernel = kernels.get(key, () => forwardKernel(key, shape));
  const tensors = { q, k, v, ...maskTensors(args), out, logSumExp };
  const groups = [Math.ceil(queryLength / shape.tile), heads, batch] as const;
  engine.recorder.dispatch(kernel, tensors, maskParams(args), groups);
}
