import {
  type LinearWeight,
  NF4_CODE,
  type Nf4Weight,
  type Tensor,
  weightTensors as tensorsOf,
} from '@qlorajs/compute';
import { type KernelSpec, MOST_MERGED, write } from '../../device/kernel.js';
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
  let start = (group.y * groups.x + group.x) * ${WIDTH * words}u;
  // Workgroups are as many as the largest weight takes.
  if (start >= p.size) { return; }
  let first = start + (local / 32u) * ${32 * words}u + local % 32u;
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
 * Weights `[out, in]` of one form in f16, those of NF4 one after the other. Those that are expected with
 * them are decoded along with them, and all of them stay: the backward of a block finds what its forward,
 * run again just before, has decoded.
 */
export function halfWeights(engine: Engine, weights: readonly LinearWeight[]): Tensor[] {
  const asked = weights.filter((weight) => weight.kind === 'nf4');
  if (asked.length === 0)
    return weights.flatMap((weight) => (weight.kind === 'dense' ? weight.values : []));
  const expected = engine.expected.filter((weight) => weight.kind === 'nf4' && hasHalves(weight));
  const first = expected.indexOf(asked[0]);
  const isNamed = asked.every((weight, i) => first >= 0 && expected[first + i] === weight);
  const decoded = (isNamed ? expected : asked) as readonly Nf4Weight[];
  const sizes = decoded.map(sizeOf);
  const starts = sizes.map((_, i) => sizes.slice(0, i).reduce((sum, size) => sum + size, 0));
  const whole = engine.scratch.get('half weights', 'f16', starts.at(-1)! + sizes.at(-1)!);
  const parts = decoded.map((_, i) => slice(whole, starts[i], sizes[i]));
  const origin = decoded.flatMap(tensorsOf).map(contentsOf).join();
  if (!engine.scratch.holds('half weights', origin)) decode(engine, decoded, parts);
  return parts.slice(isNamed ? first : 0, (isNamed ? first : 0) + asked.length);
}

const sizeOf = ({ shape }: LinearWeight) => shape[0] * shape[1];

/** Bindings of a weight with double quantization. */
const BOUND = 4;

/** As many weights in a dispatch as can be bound. */
function decode(engine: Engine, weights: readonly Nf4Weight[], parts: readonly Tensor[]): void {
  const most = Math.max(1, Math.min(MOST_MERGED, Math.floor((engine.maxBuffers - 1) / BOUND)));
  for (let start = 0; start < weights.length; ) {
    const alike = weights.slice(start, start + most);
    const kinds = alike.findIndex(({ scales }) => scales.kind !== alike[0].scales.kind);
    const some = kinds < 0 ? alike : alike.slice(0, kinds);
    decodeTogether(engine, some, parts.slice(start, start + some.length));
    start += some.length;
  }
}

function decodeTogether(
  engine: Engine,
  weights: readonly Nf4Weight[],
  parts: readonly Tensor[],
): void {
  const largest = Math.max(...weights.map(sizeOf)) / 8;
  const words = largest >= 4 * WIDTH ? 4 : 1;
  const kernel = dequantizeKernel(weights[0], words, weights.length);
  const groups = flatGroups(Math.ceil(largest / WIDTH / words));
  const bound = Object.fromEntries(
    weights.flatMap((weight, i) =>
      Object.entries(weightTensors(weight)).map(([name, tensor]) => [`${name}${i}`, tensor]),
    ),
  );
  weights.forEach((weight, item) => {
    const params = { ...weightParams(weight), size: sizeOf(weight) / 8, item };
    engine.recorder.dispatch(kernel, { ...bound, halves: parts[item] }, params, groups);
  });
}
