import type { DecodeBlockArgs, Tensor } from '@qlorajs/compute';
import { type KernelSpec, read, write } from '../device/kernel.js';
import type { Engine } from '../engine.js';
import { Memo } from '../memo.js';
import { each } from '../wgsl/half-row.js';

const THREADS = 128;
/** Keys of a part, and the threads that share one. */
export const PART = 64;
const SHARES = THREADS / PART;

const kernels = new Memo<KernelSpec>();

const NONE = '-3.4028234e38';
const fold = (operation: string) => /* wgsl */ `
  for (var step = ${PART / 2}u; step > 0u; step >>= 1u) {
    workgroupBarrier();
    if (local < step) { ${operation} }
  }
  workgroupBarrier();`;

/**
 * A workgroup takes 64 keys of one head. All that it reads of the cache is on its way before the first of
 * it is needed; the new key and value, which the workgroup of their part puts into the cache, it has from
 * the row itself. A part's result is relative to its largest score, which follows it with the sum of the
 * weights.
 */
function partKernel(heads: number, headDim: number, rotaryDim: number): KernelSpec {
  const key = `decode: attention ${heads}x${headDim} ${rotaryDim}`;
  const vectors = headDim / 4;
  const perThread = Math.ceil(vectors / SHARES);
  /** Threads that share a column of four dimensions, and the values that each has of it. */
  const rows = Math.floor(THREADS / vectors);
  const perRow = Math.ceil(PART / rows);
  const half = rotaryDim / 8; // in vectors
  const width = heads * headDim;
  const whole = (name: 'keys' | 'values', row: string, i: string) =>
    `${name}[p.${name}At / 4u + (${row} * ${heads}u + head) * ${vectors}u + ${i}]`;
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
var<workgroup> fresh: array<vec4f, ${vectors}>;
var<workgroup> shares: array<f32, ${THREADS}>;
var<workgroup> weights: array<f32, ${PART}>;
var<workgroup> folded: array<f32, ${PART}>;
var<workgroup> sums: array<vec4f, ${THREADS}>;
fn cosines(at: u32) -> vec4f { return vec4f(cos[at], cos[at + 1u], cos[at + 2u], cos[at + 3u]); }
fn sines(at: u32) -> vec4f { return vec4f(sin[at], sin[at + 1u], sin[at + 2u], sin[at + 3u]); }
// Elements 4 i … of the head that begins at vector 'base', turned by the position.
fn turned(base: u32, i: u32, at: u32) -> vec4f {
  let value = projected[base + i];
  if (i >= ${2 * half}u) { return value; }
  let turn = at * ${rotaryDim / 2}u + 4u * (i % ${half}u);
  let c = cosines(p.cosAt + turn);
  let s = sines(p.sinAt + turn);
  let other = projected[base + (i + ${half}u) % ${2 * half}u];
  return select(value * c + other * s, value * c - other * s, i < ${half}u);
}
@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  let at = u32(position[p.positionAt]);
  let first = group.x * ${PART}u;
  let head = group.y;
  if (first > at) { return; }
  let count = min(${PART}u, at + 1u - first);
  let base = p.projectedAt / 4u + head * ${vectors}u;
  let mine = local % ${PART}u;
  let share = local / ${PART}u;
  let column = local % ${vectors}u;
  let row = local / ${vectors}u;
  ${each(perThread, (i) => `let key${i} = ${whole('keys', `(first + min(mine, count - 1u))`, `min(share * ${perThread}u + ${i}u, ${vectors - 1}u)`)};`)}
  ${each(perRow, (i) => `var value${i} = ${whole('values', `(first + min(row + ${i * rows}u, count - 1u))`, 'column')};`)}
  if (local < ${vectors}u) {
    asked[local] = turned(base, local, at) * p.scale;
  } else if (local >= ${THREADS / 2}u && local < ${THREADS / 2 + vectors}u && at < first + ${PART}u) {
    let i = local - ${THREADS / 2}u;
    let key = turned(base + ${width / 4}u, i, at);
    fresh[i] = key;
    ${whole('keys', 'at', 'i')} = key;
    ${whole('values', 'at', 'i')} = projected[base + ${width / 2}u + i];
  }
  ${each(perRow, (i) => `if (first + row + ${i * rows}u == at) { value${i} = projected[base + ${width / 2}u + column]; }`)}
  workgroupBarrier();
  var part = 0.0;
  ${each(
    perThread,
    (i) => `{
    let at4 = share * ${perThread}u + ${i}u;
    let inside = min(at4, ${vectors - 1}u);
    let product = dot(asked[inside], select(key${i}, fresh[inside], first + mine == at));
    part += select(0.0, product, at4 < ${vectors}u);
  }`,
  )}
  shares[local] = part;
  workgroupBarrier();
  var score = ${NONE};
  if (local < count) { score = ${Array.from({ length: SHARES }, (_, i) => `shares[local + ${i * PART}u]`).join(' + ')}; }
  if (local < ${PART}u) { folded[local] = score; }
  ${fold('folded[local] = max(folded[local], folded[local + step]);')}
  let largest = folded[0];
  workgroupBarrier();
  if (local < ${PART}u) {
    let weight = select(0.0, exp(score - largest), local < count);
    weights[local] = weight;
    folded[local] = weight;
  }
  ${fold('folded[local] += folded[local + step];')}
  var sum = vec4f();
  ${each(perRow, (i) => `if (row < ${rows}u && row + ${i * rows}u < count) { sum += weights[row + ${i * rows}u] * value${i}; }`)}
  sums[local] = sum;
  workgroupBarrier();
  let to = p.partsAt / 4u + (head * p.count + group.x) * ${vectors + 1}u;
  if (local < ${vectors}u) {
    var all = vec4f();
    ${each(rows, (i) => `all += sums[${i * vectors}u + local];`)}
    parts[to + local] = all;
  }
  if (local == 0u) { parts[to + ${vectors}u] = vec4f(largest, folded[0], 0.0, 0.0); }
}`,
  }));
}

/** Parts that there are when the cache is full. */
export function partsOf({ keys, h }: DecodeBlockArgs): number {
  return Math.ceil(keys.size / h.size / PART);
}

/** Floats of the parts of all heads. */
export function partsSize(args: DecodeBlockArgs): number {
  return args.heads * partsOf(args) * (args.headDim + 4);
}

/** The new key and value go to the cache, and the heads attend to it, part by part. */
export function attendParts(
  engine: Engine,
  args: DecodeBlockArgs,
  projected: Tensor,
  parts: Tensor,
): void {
  const { heads, headDim, rotaryDim, position, cos, sin, keys, values } = args;
  const count = partsOf(args);
  const tensors = { projected, position, cos, sin, keys, values, parts };
  const params = { scale: 1 / Math.sqrt(headDim), count };
  const kernel = partKernel(heads, headDim, rotaryDim);
  engine.recorder.dispatch(kernel, tensors, params, [count, heads]);
}
