import type { AttentionArgs } from '@qlorajs/compute';
import { type KernelSpec, read, write } from '../../device/kernel.js';
import { storageOf } from '../../device/storage.js';
import type { Engine } from '../../engine.js';
import { Memo } from '../../memo.js';
import { REDUCE, WIDTH } from '../../wgsl/flat.js';
import {
  type AttentionShape,
  MASK_PARAMS,
  maskBindings,
  maskFunctions,
  maskParams,
  maskTensors,
  shapeKey,
} from './tile.js';

/** Queries below which a tile of them would stay mostly empty: decoding has one. */
const FEW = 16;

const kernels = new Memo<KernelSpec>();

/** Whether `attentionFewQueries` can do it: k and v are read 16 bytes at a time. */
export function isFewQueries({ q, k, v, out, headDim, queryLength }: AttentionArgs): boolean {
  return (
    queryLength < FEW &&
    headDim % 4 === 0 &&
    headDim <= 4 * WIDTH &&
    k.offset % 4 === 0 &&
    v.offset % 4 === 0 &&
    [q, k, v].every((input) => storageOf(input) !== storageOf(out))
  );
}

/**
 * A workgroup takes one query of one head. In a step every thread scores a key of its own; then the
 * threads share out the groups of four dimensions, and the keys among those that have the same group.
 */
function fewQueriesKernel(key: string, shape: AttentionShape): KernelSpec {
  const { headDim } = shape;
  const vectors = headDim / 4;
  const shares = Math.floor(WIDTH / vectors);
  return {
    key,
    bindings: {
      q: read(),
      k: read('vec4f'),
      v: read('vec4f'),
      ...maskBindings(shape),
      out: write(),
      logSumExp: write(),
    },
    params: MASK_PARAMS,
    body: /* wgsl */ `${REDUCE}
const NONE = -3.4028234e38;
var<workgroup> asked: array<vec4f, ${vectors}>;
var<workgroup> weights: array<f32, ${WIDTH}>;
var<workgroup> results: array<vec4f, ${WIDTH}>;
${maskFunctions(shape)}
@compute @workgroup_size(${WIDTH})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  let query = group.x;
  let head = group.y;
  let batch = group.z;
  let begin = firstOf(batch, query);
  let end = endOf(batch, query);
  let queryRow = ((batch * p.queryLength + query) * p.heads + head) * ${headDim}u;
  for (var i = local; i < ${vectors}u; i += ${WIDTH}u) {
    let at = p.qAt + queryRow + 4u * i;
    asked[i] = vec4f(q[at], q[at + 1u], q[at + 2u], q[at + 3u]) * p.scale;
  }
  let column = local % ${vectors}u;
  let share = local / ${vectors}u;
  var largest = NONE;
  var sum = 0.0;
  var result = vec4f();
  for (var first = begin; first < end; first += ${WIDTH}u) {
    workgroupBarrier();
    let count = min(${WIDTH}u, end - first);
    var score = NONE;
    if (local < count) {
      let at = (p.kAt + ((batch * p.keyLength + first + local) * p.heads + head) * ${headDim}u) / 4u;
      score = 0.0;
      for (var i = 0u; i < ${vectors}u; i++) { score += dot(asked[i], k[at + i]); }
    }
    let grown = max(largest, reduceMax(score, local));
    let weight = select(0.0, exp(score - grown), local < count);
    weights[local] = weight;
    let shrink = exp(largest - grown);
    sum = sum * shrink + reduceSum(weight, local);
    result *= shrink;
    largest = grown;
    if (share < ${shares}u) {
      for (var j = share; j < count; j += ${shares}u) {
        let at = (p.vAt + ((batch * p.keyLength + first + j) * p.heads + head) * ${headDim}u) / 4u;
        result += weights[j] * v[at + column];
      }
    }
  }
  results[local] = result;
  workgroupBarrier();
  if (local < ${vectors}u) {
    var total = vec4f();
    for (var i = 0u; i < ${shares}u; i++) { total += results[i * ${vectors}u + local]; }
    total *= select(0.0, 1.0 / sum, sum > 0.0);
    for (var c = 0u; c < 4u; c++) { out[p.outAt + queryRow + 4u * local + c] = total[c]; }
  }
  if (local == 0u) {
    let at = p.logSumExpAt + (batch * p.heads + head) * p.queryLength + query;
    logSumExp[at] = select(0.0, largest + log(sum), sum > 0.0);
  }
}`,
  };
}

export function attentionFewQueries(engine: Engine, args: AttentionArgs): void {
  const { q, k, v, out, logSumExp, headDim, batch, heads, queryLength } = args;
  const shape: AttentionShape = {
    headDim,
    tile: 1,
    hasStart: args.queryStart !== null,
    hasFirst: args.firstKeys !== null,
  };
  const key = `attention of few queries ${shapeKey(shape)}`;
  const kernel = kernels.get(key, () => fewQueriesKernel(key, shape));
  const tensors = { q, k, v, ...maskTensors(args), out, logSumExp };
  engine.recorder.dispatch(kernel, tensors, maskParams(args), [queryLength, heads, batch]);
}
