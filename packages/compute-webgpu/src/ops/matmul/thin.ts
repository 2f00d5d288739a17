import type { MatmulArgs, Tensor } from '@qlorajs/compute';
import { type KernelSpec, read, write } from '../../device/kernel.js';
import { storageOf } from '../../device/storage.js';
import { type Engine, flatGroups } from '../../engine.js';
import { Memo } from '../../memo.js';

/** Columns of an adapter's hidden rows that these kernels keep in registers. */
const MOST = 16;
const LANES = 32;
const WARPS = 8;
const THREADS = LANES * WARPS;
/** Rows that a row of lanes works on at one time. */
const ROWS = 4;
/** Elements of k that the lanes take in a step, four each. */
const STEP = 4 * LANES;

const each = (count: number, text: (i: number) => string) =>
  Array.from({ length: count }, (_, i) => text(i)).join('\n');

const kernels = new Memo<KernelSpec>();

const isWide = (tensor: Tensor) => tensor.offset % 4 === 0;

/** Whether a product has as few columns as an adapter has ranks, over wide rows. */
export function isThinRows({ a, b, out, m, n, k, transposeA }: MatmulArgs): boolean {
  if (transposeA || n > MOST || n % 4 !== 0 || m < 16 || k < 2 * STEP || k % 4 !== 0) return false;
  return isWide(a) && isWide(b) && [a, b].every((each) => storageOf(each) !== storageOf(out));
}

/**
 * out = a b for a `[m, k]` and few columns. A row of lanes goes along k with four rows of `a`; the
 * factor comes from the cache. Where there are few rows, lanes' rows share k between them (`shares`).
 */
function rowsKernel(key: string, { n, transposeB, beta }: MatmulArgs, shares: number): KernelSpec {
  const rowsOfGroup = (WARPS / shares) * ROWS;
  // b is [n, k]: the lanes read every row of it side by side.
  const alongK = /* wgsl */ `
  for (var at = begin + lane; at < end; at += ${LANES}u) {
    ${each(ROWS, (r) => `let x${r} = a[p.aAt + row${r} + at];`)}
    ${each(n, (j) => `let f${j} = b[p.bAt + ${j}u * p.k + at];`)}
    ${each(n, (j) => each(ROWS, (r) => `c${r}_${j} += x${r} * f${j};`))}
  }`;
  // b is [k, n]: a lane takes one k, so that the lanes' columns lie side by side.
  const alongColumns = /* wgsl */ `
  for (var at = begin + lane; at < end; at += ${LANES}u) {
    ${each(ROWS, (r) => `let x${r} = a[p.aAt + row${r} + at];`)}
    ${each(
      n / 4,
      (i) => `{
      let f = b[(p.bAt + at * ${n}u) / 4u + ${i}u];
      ${each(ROWS, (r) => each(4, (c) => `c${r}_${4 * i + c} += x${r} * f[${c}];`))}
    }`,
    )}
  }`;
  return {
    key,
    bindings: { a: read(), b: read(transposeB ? 'f32' : 'vec4f'), out: write() },
    params: { m: 'u32', k: 'u32', span: 'u32', alpha: 'f32', beta: 'f32' },
    body: /* wgsl */ `
var<workgroup> sums: array<f32, ${THREADS * n}>;
@compute @workgroup_size(${THREADS})
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let warp = local / ${LANES}u;
  let lane = local % ${LANES}u;
  let groupRow = (group.y * groups.x + group.x) * ${rowsOfGroup}u;
  let firstRow = groupRow + (warp % ${WARPS / shares}u) * ${ROWS}u;
  ${each(ROWS, (r) => `let row${r} = min(firstRow + ${r}u, p.m - 1u) * p.k;`)}
  ${each(ROWS, (r) => each(n, (j) => `var c${r}_${j} = 0.0;`))}
  let begin = (warp / ${WARPS / shares}u) * p.span;
  let end = min(p.k, begin + p.span);
  ${transposeB ? alongK : alongColumns}
  ${each(
    ROWS,
    (r) => `
  workgroupBarrier();
  ${each(n, (j) => `sums[${j * THREADS}u + local] = c${r}_${j};`)}
  workgroupBarrier();
  for (var e = local; e < ${n * (WARPS / shares)}u; e += ${THREADS}u) {
    let j = e % ${n}u;
    let row = groupRow + (e / ${n}u) * ${ROWS}u + ${r}u;
    var sum = 0.0;
    for (var s = 0u; s < ${shares}u; s++) {
      let source = j * ${THREADS}u + (s * ${WARPS / shares}u + e / ${n}u) * ${LANES}u;
      for (var i = 0u; i < ${LANES}u; i++) { sum += sums[source + (i + j) % ${LANES}u]; }
    }
    if (row < p.m) {
      let to = p.outAt + row * ${n}u + j;
      out[to] = p.alpha * sum${beta === 0 ? '' : ' + p.beta * out[to]'};
    }
  }`,
  )}
}`,
  };
}

export function thinRows(engine: Engine, args: MatmulArgs): void {
  const { a, b, out, m, n, k, transposeB, alpha, beta } = args;
  // Enough workgroups for a large GPU, while a share has whole steps of k.
  let shares = 1;
  while (shares < WARPS && m / ((WARPS / shares) * ROWS) < 256 && k >= 2 * shares * STEP)
    shares *= 2;
  const key = `thin rows ${transposeB ? 'NT' : 'NN'} ${n} ${shares}${beta === 0 ? '' : ' added'}`;
  const kernel = kernels.get(key, () => rowsKernel(key, args, shares));
  const span = Math.ceil(k / shares / STEP) * STEP;
  const groups = flatGroups(Math.ceil(m / ((WARPS / shares) * ROWS)));
  engine.recorder.dispatch(kernel, { a, b, out }, { m, k, span, alpha, beta }, groups);
}

/** Tokens that a row of lanes sums, at least. */
const TOKENS = 8;

/** `wide` `[k, columns]` and `few` `[k, ranks]`: the sum over k of their outer products. */
interface Outer {
  readonly wide: Tensor;
  readonly few: Tensor;
  readonly columns: number;
  readonly ranks: number;
  /** Whether the result is `[ranks, columns]`. */
  readonly ranksFirst: boolean;
}

function outerOf({ a, b, m, n }: MatmulArgs): Outer {
  return m <= MOST
    ? { wide: b, few: a, columns: n, ranks: m, ranksFirst: true }
    : { wide: a, few: b, columns: m, ranks: n, ranksFirst: false };
}

/** Whether a product sums outer products of wide rows and an adapter's hidden rows. */
export function isOuter(args: MatmulArgs): boolean {
  const { transposeA, transposeB, a, b, m, n, k, out } = args;
  if (!transposeA || transposeB || Math.min(m, n) > MOST || Math.max(m, n) < STEP || k < 64)
    return false;
  const { wide, few, columns, ranks } = outerOf(args);
  if (columns % 4 !== 0 || ranks % 4 !== 0 || !isWide(wide) || !isWide(few)) return false;
  return [a, b].every((each) => storageOf(each) !== storageOf(out));
}

/** A lane owns four columns; rows of lanes share out k, and so do workgroups along y. */
function outerKernel(key: string, ranks: number): KernelSpec {
  return {
    key,
    bindings: { wide: read('vec4f'), few: read('vec4f'), parts: write('vec4f') },
    params: { columns: 'u32', k: 'u32', span: 'u32' },
    body: /* wgsl */ `
var<workgroup> sums: array<vec4f, ${THREADS * 4}>;
@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  let warp = local / ${LANES}u;
  let lane = local % ${LANES}u;
  let column = group.x * ${STEP}u + 4u * lane;
  let inside = min(column, p.columns - 4u);
  ${each(ranks, (j) => `var c${j} = vec4f();`)}
  let end = min(p.k, (group.y + 1u) * p.span);
  for (var t = group.y * p.span + warp; t < end; t += ${WARPS}u) {
    let x = wide[(p.wideAt + t * p.columns + inside) / 4u];
    ${each(
      ranks / 4,
      (i) => `let u${i} = few[(p.fewAt + t * ${ranks}u) / 4u + ${i}u];
    ${each(4, (c) => `c${4 * i + c} += u${i}[${c}] * x;`)}`,
    )}
  }
  ${each(
    ranks / 4,
    (i) => `
  workgroupBarrier();
  ${each(4, (c) => `sums[${c * THREADS}u + local] = c${4 * i + c};`)}
  workgroupBarrier();
  if (local < ${4 * LANES}u) {
    let c = local / ${LANES}u;
    var sum = vec4f();
    for (var w = 0u; w < ${WARPS}u; w++) { sum += sums[c * ${THREADS}u + w * ${LANES}u + lane]; }
    if (column < p.columns) {
      parts[(p.partsAt + (group.y * ${ranks}u + ${4 * i}u + c) * p.columns + column) / 4u] = sum;
    }
  }`,
  )}
}`,
  };
}

/** Adds the parts in their order: element i of `[ranks, columns]` to its place in the output. */
function outerSum(ranks: number, ranksFirst: boolean, added: boolean): KernelSpec {
  const key = `sum of outer products ${ranksFirst ? 'ranks first' : ranks}${added ? ' added' : ''}`;
  return kernels.get(key, () => ({
    key,
    bindings: { parts: read(), out: write() },
    params: { columns: 'u32', size: 'u32', count: 'u32', alpha: 'f32', beta: 'f32' },
    body: /* wgsl */ `
@compute @workgroup_size(${THREADS})
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let i = (group.y * groups.x + group.x) * ${THREADS}u + local;
  if (i >= p.size) { return; }
  var sum = 0.0;
  for (var part = 0u; part < p.count; part++) { sum += parts[p.partsAt + part * p.size + i]; }
  let to = p.outAt + ${ranksFirst ? 'i' : `(i % p.columns) * ${ranks}u + i / p.columns`};
  out[to] = p.alpha * sum${added ? ' + p.beta * out[to]' : ''};
}`,
  }));
}

export function outerProducts(engine: Engine, args: MatmulArgs): void {
  const { out, k, alpha, beta } = args;
  const { wide, few, columns, ranks, ranksFirst } = outerOf(args);
  const across = Math.ceil(columns / STEP);
  const count = Math.max(1, Math.min(Math.ceil(640 / across), Math.floor(k / (TOKENS * WARPS))));
  const span = Math.ceil(k / count);
  const size = ranks * columns;
  const parts = engine.scratch.get('outer parts', 'f32', count * size);
  const key = `outer products ${ranks}`;
  const kernel = kernels.get(key, () => outerKernel(key, ranks));
  engine.recorder.dispatch(kernel, { wide, few, parts }, { columns, k, span }, [across, count]);
  engine.recorder.dispatch(
    outerSum(ranks, ranksFirst, beta !== 0),
    { parts, out },
    { columns, size, count, alpha, beta },
    flatGroups(Math.ceil(size / THREADS)),
  );
}
