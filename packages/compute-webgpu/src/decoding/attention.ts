import type { DecodeBlockArgs, Tensor } from '@qlorajs/compute';
import { type KernelSpec, read, write } from '../device/kernel.js';
import type { Engine } from '../engine.js';
import { Memo } from '../memo.js';
import { rankOf } from './suits.js';

/** Keys of a part, one to a thread. */
export const PART = 128;
/** Elements of gelu_new(fc1) that a workgroup multiplies by fc2's A. */
const SLICE = 320;

const kernels = new Memo<KernelSpec>();

interface Shape {
  readonly heads: number;
  readonly headDim: number;
  readonly rotaryDim: number;
}

const NONE = '-3.4028234e38';
const fold = (operation: string) => /* wgsl */ `
  for (var step = ${PART / 2}u; step > 0u; step >>= 1u) {
    workgroupBarrier();
    if (local < step) { ${operation} }
  }
  workgroupBarrier();`;

/**
 * A workgroup takes 128 keys of one head: the one that has the new position turns the new key and puts
 * it and the new value into the cache first. Every thread scores a key of its own; then the threads
 * share out the groups of four dimensions, and the keys among those that have the same group. A part's
 * result is relative to its largest score, which follows it with the sum of the weights.
 */
function partKernel({ heads, headDim, rotaryDim }: Shape): KernelSpec {
  const key = `decode: attention ${heads}x${headDim} ${rotaryDim}`;
  const vectors = headDim / 4;
  const shares = Math.floor(PART / vectors);
  const half = rotaryDim / 8; // in vectors
  const width = heads * headDim;
  return kernels.get(key, () => ({
    key,
    bindings: {
      projected: read('vec4f'),
      ...{ position: read('i32'), cos: read(), sin: read() },
      ...{ keys: write('vec4f'), values: write('vec4f'), parts: write('vec4f') },
    },
    params: { scale: 'f32', count: 'u32' },
    body: /* wgsl */ `
var<workgroup> asked: array<vec4f, ${vectors}>;
var<workgroup> weights: array<f32, ${PART}>;
var<workgroup> folded: array<f32, ${PART}>;
var<workgroup> sums: array<vec4f, ${PART}>;
fn four(at: u32) -> vec4f { return vec4f(cos[at], cos[at + 1u], cos[at + 2u], cos[at + 3u]); }
fn fourSines(at: u32) -> vec4f { return vec4f(sin[at], sin[at + 1u], sin[at + 2u], sin[at + 3u]); }
/** Elements 4 i … of the head that begins at vector 'base', turned by the position. */
fn turned(base: u32, i: u32, position: u32) -> vec4f {
  let value = projected[base + i];
  if (i >= ${2 * half}u) { return value; }
  let turn = position * ${rotaryDim / 2}u + 4u * (i % ${half}u);
  let c = four(p.cosAt + turn);
  let s = fourSines(p.sinAt + turn);
  let other = projected[base + (i + ${half}u) % ${2 * half}u];
  return select(value * c + other * s, value * c - other * s, i < ${half}u);
}
@compute @workgroup_size(${PART})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  let at = u32(position[p.positionAt]);
  let first = group.x * ${PART}u;
  let head = group.y;
  if (first > at) { return; }
  let count = min(${PART}u, at + 1u - first);
  let base = p.projectedAt / 4u + head * ${vectors}u;
  if (local < ${vectors}u) {
    asked[local] = turned(base, local, at) * p.scale;
    if (at < first + ${PART}u) {
      let to = (at * ${heads}u + head) * ${vectors}u + local;
      keys[p.keysAt / 4u + to] = turned(base + ${width / 4}u, local, at);
      values[p.valuesAt / 4u + to] = projected[base + ${width / 2}u + local];
    }
  }
  storageBarrier();
  workgroupBarrier();
  var score = ${NONE};
  if (local < count) {
    let begin = p.keysAt / 4u + ((first + local) * ${heads}u + head) * ${vectors}u;
    score = 0.0;
    for (var i = 0u; i < ${vectors}u; i++) { score += dot(asked[i], keys[begin + i]); }
  }
  folded[local] = score;
  ${fold('folded[local] = max(folded[local], folded[local + step]);')}
  let largest = folded[0];
  workgroupBarrier();
  let weight = select(0.0, exp(score - largest), local < count);
  weights[local] = weight;
  folded[local] = weight;
  ${fold('folded[local] += folded[local + step];')}
  let column = local % ${vectors}u;
  let share = local / ${vectors}u;
  var sum = vec4f();
  if (share < ${shares}u) {
    for (var j = share; j < count; j += ${shares}u) {
      sum += weights[j] * values[p.valuesAt / 4u + ((first + j) * ${heads}u + head) * ${vectors}u + column];
    }
  }
  sums[local] = sum;
  workgroupBarrier();
  let to = p.partsAt / 4u + (head * p.count + group.x) * ${vectors + 1}u;
  if (local < ${vectors}u) {
    var all = vec4f();
    for (var i = 0u; i < ${shares}u; i++) { all += sums[i * ${vectors}u + local]; }
    parts[to + local] = all;
  }
  if (local == 0u) { parts[to + ${vectors}u] = vec4f(largest, folded[0], 0.0, 0.0); }
}`,
  }));
}

/**
 * A workgroup brings the parts of one head together, and multiplies the result by its columns of the
 * output layer's A; further workgroups multiply slices of gelu_new(fc1) by theirs of fc2's A.
 */
function mergeKernel({ heads, headDim }: Shape): KernelSpec {
  const key = `decode: attention merged and adapters down ${heads}x${headDim}`;
  const vectors = headDim / 4;
  const width = heads * headDim;
  return kernels.get(key, () => ({
    key,
    bindings: {
      ...{ parts: read('vec4f'), position: read('i32'), activated: read(), factors: read() },
      out: write(),
    },
    params: { count: 'u32', inner: 'u32', a0: 'u32', rank0: 'u32', a1: 'u32', rank1: 'u32' },
    body: /* wgsl */ `
var<workgroup> row: array<f32, ${SLICE}>;
var<workgroup> folded: array<f32, ${PART}>;
@compute @workgroup_size(${PART})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  let isHead = group.x < ${heads}u;
  let slice = group.x - select(${heads}u, 0u, isHead);
  let size = select(min(${SLICE}u, p.inner - min(p.inner, slice * ${SLICE}u)), ${headDim}u, isHead);
  if (isHead) {
    let have = u32(position[p.positionAt]) / ${PART}u + 1u;
    let start = p.partsAt / 4u + group.x * p.count * ${vectors + 1}u;
    var largest = ${NONE};
    for (var i = 0u; i < have; i++) { largest = max(largest, parts[start + i * ${vectors + 1}u + ${vectors}u].x); }
    var total = 0.0;
    var sum = 0.0;
    let d = min(local, ${headDim - 1}u);
    for (var i = 0u; i < have; i++) {
      let begin = start + i * ${vectors + 1}u;
      let statistics = parts[begin + ${vectors}u];
      let factor = exp(statistics.x - largest);
      total += statistics.y * factor;
      sum += parts[begin + d / 4u][d % 4u] * factor;
    }
    if (local < ${headDim}u) {
      row[local] = sum / total;
      out[p.outAt + group.x * ${headDim}u + local] = sum / total;
    }
  } else {
    for (var i = local; i < size; i += ${PART}u) { row[i] = activated[p.activatedAt + slice * ${SLICE}u + i]; }
  }
  workgroupBarrier();
  let rank = select(p.rank1, p.rank0, isHead);
  let across = select(p.inner, ${width}u, isHead);
  let begin = select(p.a1 + slice * ${SLICE}u, p.a0 + slice * ${headDim}u, isHead);
  let to = p.outAt + ${width}u + select(${heads}u * p.rank0, 0u, isHead) + slice * rank;
  // Eight threads share a row of A.
  for (var done = 0u; done < rank; done += ${PART / 8}u) {
    let r = min(done + local / 8u, rank - 1u);
    var sum = 0.0;
    for (var i = local % 8u; i < size; i += 8u) { sum += factors[begin + r * across + i] * row[i]; }
    folded[local] = sum;
    workgroupBarrier();
    if (local % 8u == 0u && done + local / 8u < rank) {
      var all = 0.0;
      for (var i = 0u; i < 8u; i++) { all += folded[local + i]; }
      out[to + r] = all;
    }
    workgroupBarrier();
  }
}`,
  }));
}

/** Slices of gelu_new(fc1), where fc2 has an adapter. */
export function slicesOf(args: DecodeBlockArgs): number {
  return rankOf(args, 'fc2') === 0 ? 0 : Math.ceil(args.fc1.weight.shape[0] / SLICE);
}

/** Elements of what {@link mergeAttention} writes. */
export function mergedSize(args: DecodeBlockArgs): number {
  const { h, heads } = args;
  return h.size + heads * rankOf(args, 'dense') + slicesOf(args) * rankOf(args, 'fc2');
}

/** Floats of the parts of all heads. */
export function partsSize({ heads, headDim, keys, h }: DecodeBlockArgs): number {
  return heads * Math.ceil(keys.size / h.size / PART) * (headDim + 4);
}

/** The new key and value go to the cache, and the heads attend to it, part by part. */
export function attendParts(
  engine: Engine,
  args: DecodeBlockArgs,
  projected: Tensor,
  parts: Tensor,
): void {
  const { heads, headDim, position, cos, sin, keys, values, h } = args;
  const count = Math.ceil(keys.size / h.size / PART);
  const tensors = { projected, position, cos, sin, keys, values, parts };
  const params = { scale: 1 / Math.sqrt(headDim), count };
  engine.recorder.dispatch(partKernel(args), tensors, params, [count, heads]);
}

/** out = [the attention's result, hidden rows of its output layer by head, those of fc2 by slice]. */
export function mergeAttention(
  engine: Engine,
  args: DecodeBlockArgs,
  {
    parts,
    activated,
    factors,
    out,
  }: Record<'parts' | 'activated' | 'out', Tensor> & {
    factors: Tensor | null;
  },
): void {
  const { heads, position, keys, h, dense, fc2 } = args;
  const params = {
    count: Math.ceil(keys.size / h.size / PART),
    inner: activated.size,
    a0: dense.update?.a.offset ?? 0,
    rank0: rankOf(args, 'dense'),
    a1: fc2.update?.a.offset ?? 0,
    rank1: rankOf(args, 'fc2'),
  };
  const tensors = { parts, position, activated, factors: factors ?? activated, out };
  engine.recorder.dispatch(mergeKernel(args), tensors, params, [heads + slicesOf(args)]);
}
