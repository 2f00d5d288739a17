import type { MatmulArgs, Tensor } from '@qlorajs/compute';
import { type KernelSpec, read, write } from '../../device/kernel.js';
import { storageOf } from '../../device/storage.js';
import type { Engine } from '../../engine.js';
import { Memo } from '../../memo.js';
import { isWide, MOST } from './thin-rows.js';

const THREADS = 256;
/** Threads along the columns, four each, and along k. */
const LANES = 8;
const TERMS = THREADS / LANES;
/** Terms that a thread has under way. */
const UNROLL = 4;

const each = (count: number, text: (i: number) => string) =>
  Array.from({ length: count }, (_, i) => text(i)).join('\n');

const kernels = new Memo<KernelSpec>();

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
  if (!transposeA || transposeB || Math.min(m, n) > MOST || Math.max(m, n) < 128 || k < 64)
    return false;
  const { wide, few, columns, ranks } = outerOf(args);
  if (columns % 4 !== 0 || ranks % 4 !== 0 || !isWide(wide) || !isWide(few)) return false;
  return [a, b].every((each) => storageOf(each) !== storageOf(out));
}

/** A workgroup has 32 columns; its threads share out k, and their sums are added at the end. */
function outerKernel(key: string, ranks: number, ranksFirst: boolean, added: boolean): KernelSpec {
  const place = (c: string) =>
    ranksFirst ? `(rank * p.columns + column + ${c})` : `((column + ${c}) * ${ranks}u + rank)`;
  return {
    key,
    bindings: { wide: read('vec4f'), few: read('vec4f'), out: write() },
    params: { columns: 'u32', k: 'u32', alpha: 'f32', beta: 'f32' },
    merges: true,
    body: /* wgsl */ `
var<workgroup> sums: array<vec4f, ${THREADS * 4}>;
@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  let lane = local % ${LANES}u;
  let term = local / ${LANES}u;
  let first = group.x * ${4 * LANES}u;
  let inside = min(first + 4u * lane, p.columns - 4u);
  ${each(ranks, (j) => `var c${j} = vec4f();`)}
  for (var t = term; t < p.k; t += ${TERMS * UNROLL}u) {
    ${each(
      UNROLL,
      (u) => `let t${u} = min(t + ${u * TERMS}u, p.k - 1u);
    let x${u} = select(vec4f(), wide[(p.wideAt + t${u} * p.columns + inside) / 4u], t + ${u * TERMS}u < p.k);`,
    )}
    ${each(UNROLL, (u) =>
      each(
        ranks / 4,
        (i) => `{
      let f = few[(p.fewAt + t${u} * ${ranks}u) / 4u + ${i}u];
      ${each(4, (c) => `c${4 * i + c} += f[${c}] * x${u};`)}
    }`,
      ),
    )}
  }
  ${each(
    ranks / 4,
    (i) => `
  workgroupBarrier();
  ${each(4, (c) => `sums[${c * THREADS}u + local] = c${4 * i + c};`)}
  workgroupBarrier();
  for (var step = ${THREADS / 2}u; step >= ${LANES}u; step >>= 1u) {
    if (local < step) {
      ${each(4, (c) => `sums[${c * THREADS}u + local] += sums[${c * THREADS}u + local + step];`)}
    }
    workgroupBarrier();
  }
  if (local < ${4 * LANES}u) {
    let rank = ${4 * i}u + local / ${LANES}u;
    let column = first + 4u * (local % ${LANES}u);
    let sum = sums[local / ${LANES}u * ${THREADS}u + local % ${LANES}u];
    if (column < p.columns) {
      ${each(4, (c) => `{ let to = p.outAt + ${place(`${c}u`)}; out[to] = p.alpha * sum[${c}]${added ? ' + p.beta * out[to]' : ''}; }`)}
    }
  }`,
  )}
}`,
  };
}

export function outerProducts(engine: Engine, args: MatmulArgs): void {
  const { out, k, alpha, beta } = args;
  const { wide, few, columns, ranks, ranksFirst } = outerOf(args);
  const key = `outer products ${ranks}${ranksFirst ? ' ranks first' : ''}${beta === 0 ? '' : ' added'}`;
  const kernel = kernels.get(key, () => outerKernel(key, ranks, ranksFirst, beta !== 0));
  const groups = [Math.ceil(columns / (4 * LANES))] as const;
  engine.recorder.dispatch(kernel, { wide, few, out }, { columns, k, alpha, beta }, groups);
}
