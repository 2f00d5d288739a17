import { type LinearWeight, NF4_CODE } from '@qlorajs/compute';
import { type Binding, type KernelSpec, read, write } from '../../device/kernel.js';
import { storageOf } from '../../device/storage.js';
import { type Engine, flatGroups } from '../../engine.js';
import { Memo } from '../../memo.js';
import { weightParams, weightReader, weightTensors } from '../../wgsl/weight.js';
import type { LinearPart } from './linear-f32.js';
import { type LowRank, lowRankTensors } from './low-rank.js';

/** Rows of x up to which reading the weight, not arithmetic, is what takes the time. */
export const FEW_ROWS = 8;

/** Threads that share a row of the weight, and rows of the weight of a workgroup. */
const LANES = 32;
const OUTPUTS = 8;

/**
 * How a kind of weight is read: up to 16 bytes at a time, and at most eight elements, so that the
 * lanes' parts of x lie close together.
 */
interface VectorReader {
  readonly binding: Readonly<Record<string, Binding>>;
  /** Elements of one load. */
  readonly unit: number;
  /** The load: `first` is the flat index of the first element. */
  readonly load: string;
  /** The weights at `x[at .. at + 4]` of part `i`, as a vec4f. */
  readonly values: (i: number) => string;
  readonly scale: string;
  readonly declarations: string;
  readonly prologue: string;
}

const DENSE_F32: VectorReader = {
  binding: { weight: read('vec4f') },
  unit: 4,
  load: 'weight[(p.weightAt + first) / 4u]',
  values: () => 'vector',
  scale: '1.0',
  declarations: '',
  prologue: '',
};
const DENSE_F16: VectorReader = {
  binding: { weight: read('vec4u') },
  unit: 8,
  load: 'weight[(p.weightAt + first) / 8u]',
  values: (i) => `vec4f(unpack2x16float(vector[${2 * i}]), unpack2x16float(vector[${2 * i + 1}]))`,
  scale: '1.0',
  declarations: '',
  prologue: '',
};

function nf4Reader(weight: LinearWeight): VectorReader {
  const reader = weightReader(weight);
  return {
    binding: reader.bindings,
    unit: 8,
    load: 'codes[(p.codesAt * 2u + first) / 8u]',
    values: (i) => {
      const code = (shift: number) => `table[(vector >> ${shift}u) & 15u]`;
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
  if (width % unit !== 0) return false;
  if (weight.kind === 'dense') return weight.values.offset % unit === 0;
  return weight.blockSize % unit === 0 && weight.codes.offset % 4 === 0;
}

/** out = x W^T + bias for a few rows: every weight is read once, and decoded in registers. */
export function linearRows(engine: Engine, part: LinearPart, lowRank: LowRank | null = null): void {
  const { x, weight, bias, out, outStride, accumulate } = part;
  const [n, k] = weight.shape;
  const rows = x.size / k;
  const reader = vectorReader(weight);
  const { key: kind, params: weightParamTypes } = weightReader(weight);
  const key = `linear rows ${kind} ${rows}${bias ? ' bias' : ''}${lowRank ? ' low rank' : ''}${accumulate ? ' accumulate' : ''}`;
  const kernel = kernels.get(key, () =>
    rowsKernel(key, rows, reader, weightParamTypes, part, lowRank !== null),
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
  engine.recorder.dispatch(kernel, tensors, params, flatGroups(Math.ceil(n / OUTPUTS)));
}

function rowsKernel(
  key: string,
  rows: number,
  reader: VectorReader,
  weightParamTypes: KernelSpec['params'],
  { bias, accumulate }: LinearPart,
  hasLowRank: boolean,
): KernelSpec {
  const each = (count: number, text: (i: number) => string) =>
    Array.from({ length: count }, (_, i) => text(i)).join('\n');
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
var<workgroup> sums: array<f32, ${rows * OUTPUTS * LANES}>;
@compute @workgroup_size(${OUTPUTS * LANES})
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  ${reader.prologue}
  let lane = local % ${LANES}u;
  let output = (group.y * groups.x + group.x) * ${OUTPUTS}u + local / ${LANES}u;
  ${each(rows, (r) => `var sum${r} = 0.0;`)}
  if (output < p.n) {
    for (var at = lane * ${reader.unit}u; at < p.k; at += ${LANES * reader.unit}u) {
      let first = output * p.k + at;
      let vector = ${reader.load};
      let scale = ${reader.scale};
      ${each(rows, (r) => `var part${r} = 0.0;`)}
      ${each(
        reader.unit / 4,
        (i) => `{
        let values = ${reader.values(i)};
        ${each(rows, (r) => `part${r} += dot(values, x[(p.xAt + ${r}u * p.k + at) / 4u + ${i}u]);`)}
      }`,
      )}
      ${each(rows, (r) => `sum${r} += part${r} * scale;`)}
    }
    ${
      hasLowRank
        ? `for (var j = lane; j < p.rank; j += ${LANES}u) {
      let factorAt = factor[p.factorAt + output * p.rank + j] * p.lowScale;
      ${each(rows, (r) => `sum${r} += hidden[p.hiddenAt + ${r}u * p.rank + j] * factorAt;`)}
    }`
        : ''
    }
  }
  ${each(rows, (r) => `sums[${r * OUTPUTS * LANES}u + local] = sum${r};`)}
  for (var step = ${LANES / 2}u; step > 0u; step >>= 1u) {
    workgroupBarrier();
    if (lane < step) {
      ${each(rows, (r) => `sums[${r * OUTPUTS * LANES}u + local] += sums[${r * OUTPUTS * LANES}u + local + step];`)}
    }
  }
  if (lane == 0u && output < p.n) {
    ${each(
      rows,
      (r) => `{
      let to = p.outAt + ${r}u * p.outStride + output;
      out[to] = sums[${r * OUTPUTS * LANES}u + local]${bias ? ' + bias[p.biasAt + output]' : ''}${accumulate ? ' + out[to]' : ''};
    }`,
    )}
  }
}`,
  };
}
