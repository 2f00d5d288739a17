import type { DecodeBlockArgs, Tensor } from '@qlorajs/compute';
import { type KernelSpec, read, write } from '../device/kernel.js';
import type { Engine } from '../engine.js';
import { Memo } from '../memo.js';
import { each } from '../wgsl/half-row.js';
import { PART, partsOf } from './attention.js';
import { eachShare } from './rows.js';
import { rankOf } from './suits.js';

const THREADS = 128;
/** Elements of gelu_new(fc1) that a workgroup multiplies by fc2's A. */
const SLICE = 320;
/** Threads that share a row of A. */
const LANES = 8;
/** Elements of A that a thread fetches before it needs them. */
const MOST_AHEAD = 48;
/** Parts that a thread adds without waiting for one before the next. */
const AT_ONCE = 4;

const kernels = new Memo<KernelSpec>();

interface Shape {
  readonly heads: number;
  readonly headDim: number;
  readonly inner: number;
  readonly count: number;
  readonly ranks: readonly [number, number];
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

/**
 * WGSL of the products of `size` elements of `row`, in workgroup memory, with the columns from `begin` on
 * of a matrix `[rank, across]`: what is read of it, unless it is much, is on its way before the row is there.
 */
function downOf(rank: number, size: number, across: number, to: string) {
  const turns = Math.ceil((rank * LANES) / THREADS);
  const columns = Math.ceil(size / LANES);
  const each2 = (text: (t: number, i: number) => string) =>
    each(turns, (t) => each(columns, (i) => text(t, i)));
  const r = (t: number) => `(local / ${LANES}u + ${(t * THREADS) / LANES}u)`;
  const c = (i: number) => `(local % ${LANES}u + ${i * LANES}u)`;
  const factor = (t: number, i: number) =>
    `factors[begin + min(${r(t)}, ${rank - 1}u) * ${across}u + min(${c(i)}, size - 1u)]`;
  const ahead = turns * columns <= MOST_AHEAD;
  return {
    before: ahead ? each2((t, i) => `let f${t}_${i} = ${factor(t, i)};`) : '',
    after: each(
      turns,
      (t) => /* wgsl */ `{
    var sum = 0.0;
    ${each(columns, (i) => `if (${c(i)} < size) { sum += ${ahead ? `f${t}_${i}` : factor(t, i)} * row[${c(i)}]; }`)}
    folded[local] = sum;
    workgroupBarrier();
    if (local % ${LANES}u == 0u && ${r(t)} < ${rank}u) {
      out[${to} + ${r(t)}] = ${Array.from({ length: LANES }, (_, i) => `folded[local + ${i}u]`).join(' + ')};
    }
    workgroupBarrier();
  }`,
    ),
  };
}

/**
 * A workgroup brings the parts of one head together, and multiplies the result by its columns of the
 * output layer's A; further workgroups multiply slices of gelu_new(fc1) by theirs of fc2's A.
 */
function mergeKernel({ heads, headDim, inner, count, ranks }: Shape): KernelSpec {
  const key = `decode: attention merged and adapters down ${heads}x${headDim} ${inner} ${count} ranks ${ranks}`;
  const width = heads * headDim;
  const stride = headDim / 4 + 1;
  const none = { before: '', after: '' };
  const start = `p.outAt + ${width}u`;
  const [ofHead, ofSlice] = [
    ranks[0] === 0 ? none : downOf(ranks[0], headDim, width, `${start} + group.x * ${ranks[0]}u`),
    ranks[1] === 0
      ? none
      : downOf(ranks[1], SLICE, inner, `${start} + ${heads * ranks[0]}u + slice * ${ranks[1]}u`),
  ];
  const slice = /* wgsl */ `
    let slice = group.x - ${heads}u;
    let size = min(${SLICE}u, ${inner}u - slice * ${SLICE}u);
    let begin = p.a1 + slice * ${SLICE}u;
    ${ofSlice.before}
    ${eachShare(SLICE, THREADS, (e) => `if (${e} < size) { row[${e}] = activated[p.activatedAt + slice * ${SLICE}u + ${e}]; }`)}
    workgroupBarrier();
    ${ofSlice.after}`;
  return kernels.get(key, () => ({
    key,
    bindings: {
      ...{ parts: read('vec4f'), position: read('i32'), activated: read(), factors: read() },
      out: write(),
    },
    params: { a0: 'u32', a1: 'u32' },
    body: /* wgsl */ `
var<workgroup> row: array<f32, ${Math.max(headDim, SLICE)}>;
var<workgroup> folded: array<f32, ${THREADS}>;
var<workgroup> largest: array<f32, ${count}>;
var<workgroup> totals: array<f32, ${count}>;
@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  if (group.x < ${heads}u) {
    let size = ${headDim}u;
    let begin = p.a0 + group.x * ${headDim}u;
    ${ofHead.before}
    let have = u32(position[p.positionAt]) / ${PART}u + 1u;
    let start = p.partsAt / 4u + group.x * ${count * stride}u;
    ${eachShare(
      count,
      THREADS,
      (e) => `if (${e} < have) {
      let statistics = parts[start + ${e} * ${stride}u + ${stride - 1}u];
      largest[${e}] = statistics.x;
      totals[${e}] = statistics.y;
    }`,
    )}
    workgroupBarrier();
    var most = ${'-3.4028234e38'};
    for (var i = 0u; i < have; i++) { most = max(most, largest[i]); }
    var total = 0.0;
    for (var i = 0u; i < have; i++) { total += totals[i] * exp(largest[i] - most); }
    var sum = 0.0;
    let d = min(local, ${headDim - 1}u);
    for (var i = 0u; i < have; i += ${AT_ONCE}u) {
      ${each(AT_ONCE, (j) => `let i${j} = min(i + ${j}u, have - 1u);\nlet part${j} = parts[start + i${j} * ${stride}u + d / 4u][d % 4u];`)}
      ${each(AT_ONCE, (j) => `sum += select(0.0, part${j} * exp(largest[i${j}] - most), i + ${j}u < have);`)}
    }
    if (local < ${headDim}u) {
      row[local] = sum / total;
      out[p.outAt + group.x * ${headDim}u + local] = sum / total;
    }
    workgroupBarrier();
    ${ofHead.after}
  }${ranks[1] === 0 ? '' : ` else {${slice}\n  }`}
}`,
  }));
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
  const { heads, headDim, position, dense, fc2 } = args;
  const kernel = mergeKernel({
    ...{ heads, headDim, inner: activated.size, count: partsOf(args) },
    ranks: [rankOf(args, 'dense'), rankOf(args, 'fc2')],
  });
  const params = { a0: dense.update?.a.offset ?? 0, a1: fc2.update?.a.offset ?? 0 };
  const tensors = { parts, position, activated, factors: factors ?? activated, out };
  engine.recorder.dispatch(kernel, tensors, params, [heads + slicesOf(args)]);
}
