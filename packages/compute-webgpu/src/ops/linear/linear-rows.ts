import { type LinearWeight, NF4_CODE } from '@qlorajs/compute';
import { type Binding, type KernelSpec, read, write } from '../../device/kernel.js';
import { storageOf } from '../../device/storage.js';
import { type Engine, flatGroups } from '../../engine.js';
import { Memo } from '../../memo.js';
import { weightParams, weightReader, weightTensors } from '../../wgsl/weight.js';
import type { LinearPart } from './linear-f32.js';
import { type LowRank, lowRankTensors } from './low-rank.js';
import { nf4Rows, suitsNf4Rows } from './nf4-rows.js';

/** Rows of x up to which reading the weight, not arithmetic, is what takes the time. */
export const FEW_ROWS = 8;

const THREADS = 256;
/** Loads that a thread has under way: with fewer, it waits for memory; with more, others have nothing. */
const LOADS = 6;
/** Threads that share a row of the weight, at least and at most. */
const LANES = [8, 128] as const;

/** As many threads for a row as leave each about {@link LOADS} loads. */
function lanesFor(loads: number): number {
  const wanted = 2 ** Math.ceil(Math.log2(Math.max(1, loads / LOADS)));
  return Math.min(LANES[1], Math.max(LANES[0], wanted));
}

/** How a kind of weight is read: up to 16 bytes at a time. */
interface VectorReader {
  readonly binding: Readonly<Record<string, Binding>>;
  /** Elements of one load. */
  readonly unit: number;
  /** The load: `first` is the flat index of the first element. */
  readonly load: string;
  readonly type: 'vec4f' | 'vec4u' | 'u32';
  /** The weights of part `i`, four of what was loaded as `vector`, as a vec4f. */
  readonly values: (vector: string, i: number) => string;
  readonly scale: string;
  readonly declarations: string;
  readonly prologue: string;
}

const DENSE_F32: VectorReader = {
  binding: { weight: read('vec4f') },
  unit: 4,
  load: 'weight[(p.weightAt + first) / 4u]',
  type: 'vec4f',
  values: (vector) => vector,
  scale: '1.0',
  declarations: '',
  prologue: '',
};
const DENSE_F16: VectorReader = {
  binding: { weight: read('vec4u') },
  unit: 8,
  load: 'weight[(p.weightAt + first) / 8u]',
  type: 'vec4u',
  values: (vector, i) =>
    `vec4f(unpack2x16float(${vector}[${2 * i}]), unpack2x16float(${vector}[${2 * i + 1}]))`,
  scale: '1.0',
  declarations: '',
  prologue: '',
};

/** For rows that {@link nf4Rows} does not take. */
function nf4Reader(weight: LinearWeight): VectorReader {
  const reader = weightReader(weight);
  return {
    binding: reader.bindings,
    unit: 8,
    load: 'codes[(p.codesAt * 2u + first) / 8u]',
    type: 'u32',
    values: (vector, i) => {
      const code = (shift: number) => `table[(${vector} >> ${shift}u) & 15u]`;
      const low = 16 * i;
      return `vec4f(${[4, 0, 12, 8].map((shift) => code(low + shift)).join(', ')})`;
    },
    scale: 'scaleAt(first / p.blockSize)',
    // weightAt reads single words and is not needed here.
    declarations: `${reader.declarations.slice(0, reader.declarations.indexOf('const NF4_CODE'))}
var<workgroup> table: array<f32, 16>;`,
    prologue: `if (local == 0u) { ${[...NF4_CODE].map((value, i) => `table[${i}] = ${value};`).join(' ')} }
  workgroupBarrier();`,
  };
}

const readers = new Memo<VectorReader>();
const kernels = new Memo<KernelSpec>();

function vectorReader(weight: LinearWeight): VectorReader {
  if (weight.kind === 'dense') return weight.values.dtype === 'f16' ? DENSE_F16 : DENSE_F32;
  return readers.get(weight.scales.kind, () => nf4Reader(weight));
}

/** Whether the product is one of few rows, on addresses that wide loads can have. */
export function isFewRows({ x, weight, out }: LinearPart): boolean {
  const width = weight.shape[1];
  if (x.size / width > FEW_ROWS || x.offset % 4 !== 0 || storageOf(x) === storageOf(out))
    return false;
  const { unit } = vectorReader(weight);
  if (width % unit !== 0 || width === 0) return false;
  if (weight.kind === 'dense') return weight.values.offset % unit === 0;
  return weight.blockSize % unit === 0 && weight.codes.offset % 4 === 0;
}

/** out = x W^T + bias for a few rows: every weight is read once, and decoded in registers. */
export function linearRows(engine: Engine, part: LinearPart, lowRank: LowRank | null = null): void {
  const { x, weight, bias, out, outStride, accumulate } = part;
  const [n, k] = weight.shape;
  const rows = x.size / k;
  if (weight.kind === 'nf4' && suitsNf4Rows(engine, weight, rows)) {
    nf4Rows(engine, part, weight, lowRank);
    return;
  }
  const reader = vectorReader(weight);
  const { key: kind, params: weightParamTypes } = weightReader(weight);
  const loads = k / reader.unit;
  const lanes = lanesFor(loads);
  const steps = Math.ceil(loads / lanes);
  const form = `${reader.unit} ${lanes}x${steps <= 2 * LOADS ? steps : 'n'}`;
  const key = `linear rows ${kind} ${form} ${rows}${bias ? ' bias' : ''}${lowRank ? ' low rank' : ''}${accumulate ? ' accumulate' : ''}`;
  const kernel = kernels.get(key, () =>
    rowsKernel(key, { rows, lanes, steps }, reader, weightParamTypes, part, lowRank !== null),
  );
  const tensors = {
    x,
    ...weightTensors(weight),
    ...(bias ? { bias } : {}),
    ...lowRankTensors(lowRank),
    out,
  };
  const { rank, scale: lowScale } = lowRank ?? { rank: 0, scale: 0 };
  const params = { ...weightParams(weight), n, k, outStride, rank, lowScale };
  engine.recorder.dispatch(kernel, tensors, params, flatGroups(Math.ceil((n * lanes) / THREADS)));
}

/** How a product of few rows is shared out. */
interface RowsPlan {
  readonly rows: number;
  readonly lanes: number;
  /** Loads of a thread. */
  readonly steps: number;
}

function rowsKernel(
  key: string,
  { rows, lanes, steps }: RowsPlan,
  reader: VectorReader,
  weightParamTypes: KernelSpec['params'],
  { bias, accumulate }: LinearPart,
  hasLowRank: boolean,
): KernelSpec {
  const each = (count: number, text: (i: number) => string) =>
    Array.from({ length: count }, (_, i) => text(i)).join('\n');
  const { unit } = reader;
  const load = (name: string, at: string) => /* wgsl */ `
      let inside${name} = ${at} < p.k;
      let at${name} = min(${at}, p.k - ${unit}u);
      var vector${name}: ${reader.type};
      var scale${name}: f32;
      {
        let first = min(output, p.n - 1u) * p.k + at${name};
        vector${name} = ${reader.load};
        scale${name} = select(0.0, ${reader.scale}, inside${name});
      }`;
  const multiply = (name: string) => /* wgsl */ `{
        ${each(rows, (r) => `var part${r} = vec4f();`)}
        ${each(
          unit / 4,
          (i) => `{
          let values = ${reader.values(`vector${name}`, i)};
          ${each(rows, (r) => `part${r} += values * x[(p.xAt + ${r}u * p.k + at${name}) / 4u + ${i}u];`)}
        }`,
        )}
        ${each(rows, (r) => `sum${r} += part${r} * scale${name};`)}
      }`;
  // All loads are issued before the first is waited for, where they are few.
  const along =
    steps <= 2 * LOADS
      ? `${each(steps, (i) => load(`${i}`, `lane * ${unit}u + ${i * lanes * unit}u`))}
      ${each(steps, (i) => multiply(`${i}`))}`
      : `for (var at = lane * ${unit}u; at < p.k; at += ${4 * lanes * unit}u) {
      ${each(4, (i) => load(`${i}`, `at + ${i * lanes * unit}u`))}
      ${each(4, (i) => multiply(`${i}`))}
    }`;
  return {
    key,
    bindings: {
      x: read('vec4f'),
      ...reader.binding,
      ...(bias ? { bias: read() } : {}),
      ...(hasLowRank ? { hidden: read(), factor: read() } : {}),
      out: write(),
    },
    params: {
      ...weightParamTypes,
      ...{ n: 'u32', k: 'u32', outStride: 'u32', rank: 'u32', lowScale: 'f32' },
    },
    body: /* wgsl */ `${reader.declarations}
var<workgroup> sums: array<f32, ${rows * THREADS}>;
@compute @workgroup_size(${THREADS})
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  ${reader.prologue}
  let lane = local % ${lanes}u;
  let output = (group.y * groups.x + group.x) * ${THREADS / lanes}u + local / ${lanes}u;
  ${each(rows, (r) => `var sum${r} = vec4f();`)}
  ${along}
  ${each(rows, (r) => `var all${r} = (sum${r}.x + sum${r}.y) + (sum${r}.z + sum${r}.w);`)}
  ${
    hasLowRank
      ? `for (var j = lane; j < p.rank; j += ${lanes}u) {
    let factorAt = factor[p.factorAt + min(output, p.n - 1u) * p.rank + j] * p.lowScale;
    ${each(rows, (r) => `all${r} += hidden[p.hiddenAt + ${r}u * p.rank + j] * factorAt;`)}
  }`
      : ''
  }
  ${each(rows, (r) => `sums[${r * THREADS}u + local] = all${r};`)}
  for (var step = ${lanes / 2}u; step > 0u; step >>= 1u) {
    workgroupBarrier();
    if (lane < step) {
      ${each(rows, (r) => `sums[${r * THREADS}u + local] += sums[${r * THREADS}u + local + step];`)}
    }
  }
  if (lane == 0u && output < p.n) {
    ${each(
      rows,
      (r) => `{
      let to = p.outAt + ${r}u * p.outStride + output;
      out[to] = sums[${r * THREADS}u + local]${bias ? ' + bias[p.biasAt + output]' : ''}${accumulate ? ' + out[to]' : ''};
    }`,
    )}
  }
}`,
  };
}
