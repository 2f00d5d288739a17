import type { AttentionArgs } from '@qlorajs/compute';
import { type KernelSpec, read, write } from '../../device/kernel.js';
import { storageOf } from '../../device/storage.js';
import type { Engine } from '../../engine.js';
import { Memo } from '../../memo.js';
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
/** Keys of a part, one to a thread. */
const PART = 128;

const kernels = new Memo<KernelSpec>();

/** Whether `attentionFewQueries` can do it: k and v are read 16 bytes at a time. */
export function isFewQueries({ q, k, v, out, headDim, queryLength }: AttentionArgs): boolean {
  return (
    queryLength < FEW &&
    headDim % 4 === 0 &&
    headDim <= 4 * PART &&
    k.offset % 4 === 0 &&
    v.offset % 4 === 0 &&
    [q, k, v].every((input) => storageOf(input) !== storageOf(out))
  );
}

const NONE = '-3.4028234e38';
const INDICES = /* wgsl */ `
  let query = group.x % p.queryLength;
  let head = group.y;
  let batch = group.z;
  let begin = firstOf(batch, query);
  let end = endOf(batch, query);
  let row = (batch * p.queryLength + query) * p.heads + head;`;

/**
 * A workgroup takes one query of one head and 128 keys: every thread scores a key of its own; then the
 * threads share out the groups of four dimensions, and the keys among those that have the same group.
 * The result is relative to the part's largest score. Parts without keys leave nothing behind.
 */
function partKernel(key: string, shape: AttentionShape): KernelSpec {
  const { headDim } = shape;
  const vectors = headDim / 4;
  const shares = Math.floor(PART / vectors);
  return {
    key,
    bindings: {
      q: read(),
      k: read('vec4f'),
      v: read('vec4f'),
      ...maskBindings(shape),
      results: write('vec4f'),
      statistics: write(),
    },
    params: { ...MASK_PARAMS, parts: 'u32' } as const,
    body: /* wgsl */ `
var<workgroup> asked: array<vec4f, ${vectors}>;
var<workgroup> weights: array<f32, ${PART}>;
var<workgroup> folded: array<f32, ${PART}>;
var<workgroup> sums: array<vec4f, ${PART}>;
${maskFunctions(shape)}
@compute @workgroup_size(${PART})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  ${INDICES}
  let part = group.x / p.queryLength;
  let first = begin + part * ${PART}u;
  let count = select(0u, min(${PART}u, end - first), first < end);
  if (local < ${vectors}u) {
    let at = p.qAt + row * ${headDim}u + 4u * local;
    asked[local] = vec4f(q[at], q[at + 1u], q[at + 2u], q[at + 3u]) * p.scale;
  }
  workgroupBarrier();
  var score = ${NONE};
  if (local < count) {
    let at = (p.kAt + ((batch * p.keyLength + first + local) * p.heads + head) * ${headDim}u) / 4u;
    score = 0.0;
    for (var i = 0u; i < ${vectors}u; i++) { score += dot(asked[i], k[at + i]); }
  }
  folded[local] = score;
  for (var step = ${PART / 2}u; step > 0u; step >>= 1u) {
    workgroupBarrier();
    if (local < step) { folded[local] = max(folded[local], folded[local + step]); }
  }
  workgroupBarrier();
  let largest = folded[0];
  workgroupBarrier();
  let weight = select(0.0, exp(score - largest), local < count);
  weights[local] = weight;
  folded[local] = weight;
  for (var step = ${PART / 2}u; step > 0u; step >>= 1u) {
    workgroupBarrier();
    if (local < step) { folded[local] += folded[local + step]; }
  }
  let column = local % ${vectors}u;
  let share = local / ${vectors}u;
  workgroupBarrier();
  var sum = vec4f();
  if (share < ${shares}u) {
    for (var j = share; j < count; j += ${shares}u) {
      let at = (p.vAt + ((batch * p.keyLength + first + j) * p.heads + head) * ${headDim}u) / 4u;
      sum += weights[j] * v[at + column];
    }
  }
  sums[local] = sum;
  workgroupBarrier();
  let to = row * p.parts + part;
  if (local < ${vectors}u && count > 0u) {
    var all = vec4f();
    for (var i = 0u; i < ${shares}u; i++) { all += sums[i * ${vectors}u + local]; }
    results[to * ${vectors}u + local] = all;
  }
  if (local == 0u && count > 0u) {
    statistics[2u * to] = largest;
    statistics[2u * to + 1u] = folded[0];
  }
}`,
  };
}

/** Brings the parts of a query's keys together; a thread has a dimension of the head. */
function mergeKernel(key: string, shape: AttentionShape): KernelSpec {
  const { headDim } = shape;
  return {
    key,
    bindings: {
      results: read(),
      statistics: read(),
      ...maskBindings(shape),
      out: write(),
      logSumExp: write(),
    },
    params: { ...MASK_PARAMS, parts: 'u32' } as const,
    body: /* wgsl */ `
${maskFunctions(shape)}
@compute @workgroup_size(${Math.min(256, Math.ceil(headDim / 32) * 32)})
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  ${INDICES}
  let count = select(0u, (end - begin + ${PART - 1}u) / ${PART}u, begin < end);
  let start = row * p.parts;
  var largest = ${NONE};
  for (var i = 0u; i < count; i++) { largest = max(largest, statistics[2u * (start + i)]); }
  var total = 0.0;
  for (var i = 0u; i < count; i++) { total += statistics[2u * (start + i) + 1u] * exp(statistics[2u * (start + i)] - largest); }
  let factor = select(0.0, 1.0 / total, count > 0u);
  for (var d = local; d < ${headDim}u; d += ${Math.min(256, Math.ceil(headDim / 32) * 32)}u) {
    var sum = 0.0;
    for (var i = 0u; i < count; i++) {
      sum += results[(start + i) * ${headDim}u + d] * exp(statistics[2u * (start + i)] - largest);
    }
    out[p.outAt + row * ${headDim}u + d] = sum * factor;
  }
  if (local == 0u) {
    let at = p.logSumExpAt + (batch * p.heads + head) * p.queryLength + query;
    logSumExp[at] = select(0.0, largest + log(total), count > 0u);
  }
}`,
  };
}

export function attentionFewQueries(engine: Engine, args: AttentionArgs): void {
  const { q, k, v, out, logSumExp, headDim, batch, heads, queryLength, keyLength } = args;
  const { recorder, scratch } = engine;
  const shape: AttentionShape = {
    headDim,
    tile: 1,
    hasStart: args.queryStart !== null,
    hasFirst: args.firstKeys !== null,
  };
  const parts = Math.max(1, Math.ceil(keyLength / PART));
  const count = batch * queryLength * heads * parts;
  const between = {
    results: scratch.get('attention parts', 'f32', count * headDim),
    statistics: scratch.get('attention statistics', 'f32', 2 * count),
  };
  const params = { ...maskParams(args), parts };
  const key = `attention of few queries ${shapeKey(shape)}`;
  const kernel = kernels.get(key, () => partKernel(key, shape));
  const inputs = { q, k, v, ...maskTensors(args), ...between };
  recorder.dispatch(kernel, inputs, params, [queryLength * parts, heads, batch]);
  const mergeKey = `attention of few queries, merged ${shapeKey(shape)}`;
  const merge = kernels.get(mergeKey, () => mergeKernel(mergeKey, shape));
  const outputs = { ...between, ...maskTensors(args), out, logSumExp };
  recorder.dispatch(merge, outputs, params, [queryLength, heads, batch]);
}
