import { NF4_CODE, type Nf4Weight, type Tensor } from '@qlorajs/compute';
import { type KernelSpec, read, write } from '../../device/kernel.js';
import { type Engine, flatGroups } from '../../engine.js';
import { Memo } from '../../memo.js';
import { each } from '../../wgsl/matrix-gemm.js';
import { weightParams, weightReader, weightTensors } from '../../wgsl/weight.js';
import type { LinearPart } from './linear-f32.js';
import { type LowRank, lowRankTensors } from './low-rank.js';

const THREADS = 128;
/** Rows of the weight that a thread works on: what it reads of x serves all of them. */
const OUTPUTS = 4;
/** Codes of a load: lanes' parts of x lie close together. */
const CODES = 8;
/** Loads of a row that a thread has under way. */
const LOADS = 10;

/** How the product is shared out. */
interface Plan {
  readonly rows: number;
  /** Threads that share a row of the weight. */
  readonly lanes: number;
  /** Loads of a thread, all of them under way together. */
  readonly loads: number;
  /** Times that it does so. */
  readonly turns: number;
  /** Blocks of scales of a row. */
  readonly blocks: number;
}

function planOf(rows: number, [, k]: readonly [number, number], blockSize: number): Plan {
  const wanted = k / CODES / LOADS;
  const lanes = wanted > 64 ? 128 : wanted > 32 ? 64 : 32;
  const turns = Math.ceil(k / CODES / lanes / LOADS);
  const loads = Math.ceil(k / CODES / lanes / turns);
  return { rows, lanes, loads, turns, blocks: k / blockSize };
}

const outputsOf = ({ lanes }: Plan) => (THREADS / lanes) * OUTPUTS;

/** Whether {@link nf4Rows} can do it: rows of whole blocks, whose scales fit beside the sums. */
export function suitsNf4Rows(engine: Engine, { shape, blockSize, codes }: Nf4Weight, rows: number) {
  const [, k] = shape;
  if (k % blockSize !== 0 || blockSize % CODES !== 0 || codes.offset % 4 !== 0) return false;
  const plan = planOf(rows, shape, blockSize);
  const floats = 16 + plan.blocks * outputsOf(plan) + OUTPUTS * rows * THREADS;
  return 4 * floats <= engine.workgroupMemory;
}

const kernels = new Memo<KernelSpec>();

/**
 * Codes are on their way while a workgroup decodes the scales of its rows; then a thread multiplies
 * eight codes of four rows by the same part of x.
 */
function rowsKernel(
  key: string,
  plan: Plan,
  weight: Nf4Weight,
  { bias, accumulate }: LinearPart,
  hasLowRank: boolean,
): KernelSpec {
  const { rows, lanes, loads, turns, blocks } = plan;
  const outputs = outputsOf(plan);
  const reader = weightReader(weight);
  const sums = (text: (o: number, r: number) => string) =>
    each(OUTPUTS, (o) => each(rows, (r) => text(o, r)));
  const code = (word: string, shift: number) => `table[(${word} >> ${shift}u) & 15u]`;
  const four = (word: string, low: number) =>
    `vec4f(${[4, 0, 12, 8].map((shift) => code(word, low + shift)).join(', ')})`;
  const turn = /* wgsl */ `
    ${each(
      loads,
      (s) => `let at${s} = base + (lane + ${s * lanes}u) * ${CODES}u;
    let safe${s} = min(at${s}, p.k - ${CODES}u);
    ${each(OUTPUTS, (o) => `let word${s}_${o} = codes[(p.codesAt * 2u + row${o} + safe${s}) / ${CODES}u];`)}`,
    )}
    READY
    ${each(
      loads,
      (s) => `if (at${s} < p.k) {
      ${each(rows, (r) => `let x${r} = x[(p.xAt + ${r}u * p.k + at${s}) / 4u];\nlet y${r} = x[(p.xAt + ${r}u * p.k + at${s}) / 4u + 1u];`)}
      let block = at${s} / p.blockSize;
      ${each(
        OUTPUTS,
        (o) => `{
        let scale = scalesOf[(own + ${o}u) * ${blocks}u + block];
        let low = ${four(`word${s}_${o}`, 0)};
        let high = ${four(`word${s}_${o}`, 16)};
        ${each(rows, (r) => `sum${o}_${r} += (dot(low, x${r}) + dot(high, y${r})) * scale;`)}
      }`,
      )}
    }`,
    )}`;
  // Unrolled: a scale takes two loads, one after the other.
  const scales = Math.ceil((outputs * blocks) / THREADS);
  const ready = /* wgsl */ `
    if (local == 0u) { ${[...NF4_CODE].map((value, i) => `table[${i}] = ${value};`).join(' ')} }
    ${each(
      scales,
      (i) => `let e${i} = min(local + ${i * THREADS}u, ${outputs * blocks - 1}u);
    let scale${i} = scaleAt(min(first + e${i} / ${blocks}u, p.n - 1u) * ${blocks}u + e${i} % ${blocks}u);`,
    )}
    ${each(scales, (i) => `scalesOf[e${i}] = scale${i};`)}
    workgroupBarrier();`;
  return {
    key,
    bindings: {
      x: read('vec4f'),
      ...reader.bindings,
      ...(bias ? { bias: read() } : {}),
      ...(hasLowRank ? { hidden: read(), factor: read() } : {}),
      out: write(),
    },
    params: {
      ...reader.params,
      ...{ n: 'u32', k: 'u32', outStride: 'u32', rank: 'u32', lowScale: 'f32' },
    },
    body: /* wgsl */ `${reader.declarations.slice(0, reader.declarations.indexOf('const NF4_CODE'))}
var<workgroup> table: array<f32, 16>;
var<workgroup> scalesOf: array<f32, ${outputs * blocks}>;
var<workgroup> folded: array<f32, ${OUTPUTS * rows * THREADS}>;
@compute @workgroup_size(${THREADS})
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let first = (group.y * groups.x + group.x) * ${outputs}u;
  let own = (local / ${lanes}u) * ${OUTPUTS}u;
  let lane = local % ${lanes}u;
  ${each(OUTPUTS, (o) => `let row${o} = min(first + own + ${o}u, p.n - 1u) * p.k;`)}
  ${sums((o, r) => `var sum${o}_${r} = 0.0;`)}
  ${each(turns, (t) => `{ let base = ${t * loads * lanes * CODES}u; ${turn.replace('READY', t === 0 ? ready : '')} }`)}
  ${
    hasLowRank
      ? `for (var j = lane; j < p.rank; j += ${lanes}u) {
    ${each(rows, (r) => `let hidden${r} = hidden[p.hiddenAt + ${r}u * p.rank + j] * p.lowScale;`)}
    ${each(
      OUTPUTS,
      (o) => `{
      let factorAt = factor[p.factorAt + min(first + own + ${o}u, p.n - 1u) * p.rank + j];
      ${each(rows, (r) => `sum${o}_${r} += hidden${r} * factorAt;`)}
    }`,
    )}
  }`
      : ''
  }
  ${sums((o, r) => `folded[${(o * rows + r) * THREADS}u + local] = sum${o}_${r};`)}
  for (var step = ${lanes / 2}u; step > 0u; step >>= 1u) {
    workgroupBarrier();
    if (lane < step) {
      ${sums((o, r) => `folded[${(o * rows + r) * THREADS}u + local] += folded[${(o * rows + r) * THREADS}u + local + step];`)}
    }
  }
  workgroupBarrier();
  for (var e = local; e < ${outputs * rows}u; e += ${THREADS}u) {
    let output = first + e % ${outputs}u;
    let r = e / ${outputs}u;
    if (output < p.n) {
      let inside = e % ${outputs}u;
      let sum = folded[(inside % ${OUTPUTS}u * ${rows}u + r) * ${THREADS}u + inside / ${OUTPUTS}u * ${lanes}u];
      let to = p.outAt + r * p.outStride + output;
      out[to] = sum${bias ? ' + bias[p.biasAt + output]' : ''}${accumulate ? ' + out[to]' : ''};
    }
  }
}`,
  };
}

/** out = x W^T + bias for a few rows of x and a weight in NF4. */
export function nf4Rows(
  engine: Engine,
  part: LinearPart,
  weight: Nf4Weight,
  lowRank: LowRank | null,
): void {
  const { x, bias, out, outStride, accumulate } = part;
  const [n, k] = weight.shape;
  const plan = planOf(x.size / k, weight.shape, weight.blockSize);
  const form = Object.values(plan).join('x');
  const key = `linear rows ${weightReader(weight).key} ${form}${bias ? ' bias' : ''}${lowRank ? ' low rank' : ''}${accumulate ? ' accumulate' : ''}`;
  const kernel = kernels.get(key, () => rowsKernel(key, plan, weight, part, lowRank !== null));
  const tensors: Record<string, Tensor> = {
    x,
    ...weightTensors(weight),
    ...(bias ? { bias } : {}),
    ...lowRankTensors(lowRank),
    out,
  };
  const { rank, scale: lowScale } = lowRank ?? { rank: 0, scale: 0 };
  const params = { ...weightParams(weight), n, k, outStride, rank, lowScale };
  engine.recorder.dispatch(kernel, tensors, params, flatGroups(Math.ceil(n / outputsOf(plan))));
}
