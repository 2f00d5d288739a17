import {
  type LinearWeight,
  NF4_CODE,
  type Nf4Weight,
  type Tensor,
  weightTensors as tensorsOf,
} from '@qlorajs/compute';
import { type KernelSpec, write } from '../../device/kernel.js';
import { slice } from '../../device/storage.js';
import { contentsOf, type Engine, flatGroups } from '../../engine.js';
import { Memo } from '../../memo.js';
import { WIDTH } from '../../wgsl/flat.js';
import { scaleReader, weightParams, weightTensors } from '../../wgsl/weight.js';

const kernels = new Memo<KernelSpec>();
const TABLE = [...NF4_CODE].map((value, i) => `nibbles[${i}] = ${value};`).join(' ');
const each = (count: number, text: (i: number) => string, glue = '\n') =>
  Array.from({ length: count }, (_, i) => text(i)).join(glue);

/**
 * A thread decodes `words` words of eight codes; a block holds a multiple of eight. A table of both
 * codes of a byte halves the look-ups, and all loads are issued before the first is waited for.
 * @param count weights that are bound, of which a dispatch decodes `p.item`
 */
function dequantizeKernel(weight: Nf4Weight, words: number, count: number): KernelSpec {
  const readers = Array.from({ length: count }, (_, i) => scaleReader(weight, `${i}`));
  const key = `dequantize to f16, ${readers[0].key} ${words}${count > 1 ? ` of ${count}` : ''}`;
  const pair = (i: number, shift: number) =>
    `bitcast<u32>(vec2h(pairs[(word${i} >> ${shift}u) & 255u] * scale${i}))`;
  const load = (item: number) =>
    each(
      words,
      (i) => `word${i} = codes${item}[p.codes${item}At / 4u + at${i}];
      scale${i} = scaleAt${item}(at${i} * 8u / p.blockSize);`,
    );
  return kernels.get(key, () => ({
    key,
    directives: 'enable f16;',
    bindings: {
      ...Object.assign({}, ...readers.map(({ bindings }) => bindings)),
      halves: write('vec4u'),
    },
    params: { ...readers[0].params, size: 'u32', item: 'u32' },
    merges: true,
    body: /* wgsl */ `${readers.map(({ declarations }) => declarations).join('\n')}
var<workgroup> nibbles: array<f32, 16>;
var<workgroup> pairs: array<vec2f, ${WIDTH}>;
@compute @workgroup_size(${WIDTH})
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  // Neighbouring threads have neighbouring words.
  let first = (group.y * groups.x + group.x) * ${WIDTH * words}u + (local / 32u) * ${32 * words}u + local % 32u;
  ${each(
    words,
    (i) => `let at${i} = min(first + ${32 * i}u, p.size - 1u);
  var word${i} = 0u;
  var scale${i} = 0.0;`,
  )}
  ${each(count, (item) => `if (p.item == ${item}u) { ${load(item)} }`, ' else ')}
  if (local == 0u) { ${TABLE} }
  workgroupBarrier();
  pairs[local] = vec2f(nibbles[local >> 4u], nibbles[local & 15u]);
  workgroupBarrier();
  ${each(
    words,
    (i) => `if (first + ${32 * i}u < p.size) {
    halves[p.halvesAt / 8u + at${i}] = vec4u(${[0, 8, 16, 24].map((shift) => pair(i, shift)).join(', ')});
  }`,
  )}
}`,
  }));
}

/** Whether a weight can be had as f16 rows that start on 16 bytes. */
export function hasHalves(weight: LinearWeight): boolean {
  if (weight.shape[1] % 8 !== 0) return false;
  if (weight.kind === 'dense')
    return weight.values.dtype === 'f16' && weight.values.offset % 8 === 0;
  return weight.blockSize % 8 === 0 && weight.codes.offset % 4 === 0;
}

/** Whether weights are of one form, so that a kernel serves all of them. */
export function areAlike(weights: readonly LinearWeight[]): boolean {
  const form = (weight: LinearWeight) => {
    if (weight.kind === 'dense') return `dense ${weight.shape}`;
    const { shape, blockSize, scales } = weight;
    return `${shape} ${blockSize} ${scales.kind === 'double' ? scales.blockSize : ''}`;
  };
  return weights.every((weight) => form(weight) === form(weights[0]));
}

/**
 * The decoded weights that are kept, in units of the largest: Phi's block has three times that, so that
 * its backward finds what its forward, run again just before, has decoded.
 */
const KEPT = 3;

/** Weights `[out, in]` of one form in f16, of NF4 one after the other: decoded, unless they still are. */
export function halfWeights(engine: Engine, weights: readonly LinearWeight[]): Tensor[] {
  const sources = weights.filter((weight) => weight.kind === 'nf4');
  if (sources.length === 0)
    return weights.flatMap((weight) => (weight.kind === 'dense' ? weight.values : []));
  const size = weights[0].shape[0] * weights[0].shape[1];
  const { tensor, made } = engine.scratch.part('half weights', 'f16', {
    size: weights.length * size,
    room: Math.max(KEPT, weights.length) * size,
    origin: sources.flatMap(tensorsOf).map(contentsOf).join(),
  });
  const parts = weights.map((_, i) => slice(tensor, i * size, size));
  if (!made) decode(engine, sources, parts, size);
  return parts;
}

function decode(
  engine: Engine,
  weights: readonly Nf4Weight[],
  parts: readonly Tensor[],
  size: number,
): void {
  const words = size / 8 >= 4 * WIDTH ? 4 : 1;
  const groups = flatGroups(Math.ceil(size / 8 / WIDTH / words));
  const suffixed = (item: number, weight: Nf4Weight) =>
    Object.entries(weightTensors(weight)).map(([name, tensor]) => [`${name}${item}`, tensor]);
  const bound = weights.flatMap((weight, i) => suffixed(i, weight));
  const together = bound.length < engine.maxBuffers;
  weights.forEach((weight, i) => {
    const kernel = dequantizeKernel(weight, words, together ? weights.length : 1);
    const tensors = Object.fromEntries(together ? bound : suffixed(0, weight));
    const params = { ...weightParams(weight), size: size / 8, item: together ? i : 0 };
    engine.recorder.dispatch(kernel, { ...tensors, halves: parts[i] }, params, groups);
  });
}
