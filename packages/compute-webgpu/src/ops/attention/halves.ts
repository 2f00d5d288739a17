import type { AttentionMask, Tensor } from '@qlorajs/compute';
import { type KernelSpec, read, write } from '../../device/kernel.js';
import { contentsOf, type Engine, flatGroups } from '../../engine.js';
import { Memo } from '../../memo.js';
import { REDUCE, WIDTH } from '../../wgsl/flat.js';
import { each, HALVES_OF } from './matrix-tile.js';

/** Rows of a head are padded with zeros to a multiple of this: no tile reads beyond. */
const ROWS = 64;

/** f16 `[batch, heads, padded, headDim]` of q, k, v and dOut: rows of a head lie side by side. */
export interface Halves {
  readonly halves: Tensor;
  /** Where each begins, in vectors of eight halves. */
  readonly at: {
    readonly q: number;
    readonly k: number;
    readonly v: number;
    readonly dOut: number;
  };
  /** Vectors from one head to the next. */
  readonly perQuery: number;
  readonly perKey: number;
}

/** Sizes of attention. */
type Sizes = Pick<AttentionMask, 'batch' | 'heads' | 'headDim' | 'queryLength' | 'keyLength'>;

/** A tensor, its rows and where its halves begin. */
interface Input {
  readonly x: Tensor;
  readonly length: number;
  readonly to: number;
}

const kernels = new Memo<KernelSpec>();

/** A thread converts eight values; z is the input. */
function halvesKernel(key: string, headDim: number, count: number, scaled: boolean): KernelSpec {
  const vectors = headDim / 8;
  const factor = scaled ? ' * factor' : '';
  return {
    key,
    directives: 'enable f16;',
    bindings: {
      ...Object.fromEntries(Array.from({ length: count }, (_, i) => [`x${i}`, read('vec4f')])),
      ...(scaled ? { maxima: read(), factors: write() } : {}),
      halves: write('vec4u'),
    },
    params: {
      heads: 'u32',
      rows: 'u32',
      ...Object.fromEntries(
        Array.from({ length: count }, (_, i) =>
          ['length', 'padded', 'to', 'size'].map((name) => [`${name}${i}`, 'u32'] as const),
        ).flat(),
      ),
    },
    body: /* wgsl */ `${HALVES_OF}
${scaled ? REDUCE : ''}
@compute @workgroup_size(${WIDTH})
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let i = (group.y * groups.x + group.x) * ${WIDTH}u + local;
  let c = i % ${vectors}u;
  ${scaled ? FACTOR : ''}
  ${each(
    count,
    (n) => `if (group.z == ${n}u && i < p.size${n}) {
    let row = (i / ${vectors}u) % p.padded${n};
    let head = i / (${vectors}u * p.padded${n});
    var a = vec4f();
    var b = vec4f();
    if (row < p.length${n}) {
      let at = p.x${n}At / 4u + (((head / p.heads) * p.length${n} + row) * p.heads + head % p.heads) * ${headDim / 4}u + 2u * c;
      a = x${n}[at]${factor};
      b = x${n}[at + 1u]${factor};
    }
    halves[p.to${n} + i] = halvesOf(a, b);
  }`,
  )}
}`,
  };
}

/**
 * Gradients are scaled by one power of two, the largest to [2, 4), so that none of weight underflows
 * in f16 and their products with v do not overflow; every workgroup finds it anew from the rows' maxima.
 * The second of `factors` undoes it.
 */
const FACTOR = /* wgsl */ `
  var largest = 0.0;
  for (var r = local; r < p.rows; r += ${WIDTH}u) { largest = max(largest, maxima[p.maximaAt + r]); }
  let exponent = clamp((bitcast<u32>(reduceMax(largest, local)) >> 23u) & 255u, 2u, 253u);
  let factor = bitcast<f32>((255u - exponent) << 23u);
  if (i == 0u) {
    factors[p.factorsAt] = factor;
    factors[p.factorsAt + 1u] = bitcast<f32>((exponent - 1u) << 23u);
  }`;

const padded = (length: number) => Math.ceil(length / ROWS) * ROWS;

function convert(
  engine: Engine,
  { batch, heads, headDim }: Sizes,
  inputs: readonly Input[],
  halves: Tensor,
  gradients: Gradients | null,
): void {
  const key = `attention halves ${headDim} ${inputs.length}${gradients ? ' scaled' : ''}`;
  const kernel = kernels.get(key, () =>
    halvesKernel(key, headDim, inputs.length, gradients !== null),
  );
  const sizeOf = ({ length }: Input) => (batch * heads * padded(length) * headDim) / 8;
  const tensors = {
    ...Object.fromEntries(inputs.map(({ x }, i) => [`x${i}`, x])),
    ...(gradients ? { maxima: gradients.maxima, factors: gradients.factors } : {}),
    halves,
  };
  const params = {
    heads,
    rows: gradients?.maxima.size ?? 0,
    ...Object.fromEntries(
      inputs.flatMap((input, i) => [
        [`length${i}`, input.length],
        [`padded${i}`, padded(input.length)],
        [`to${i}`, input.to],
        [`size${i}`, sizeOf(input)],
      ]),
    ),
  };
  const [x, y] = flatGroups(Math.ceil(Math.max(...inputs.map(sizeOf)) / WIDTH));
  engine.recorder.dispatch(kernel, tensors, params, [x, y, inputs.length]);
}

const SCRATCH = 'attention halves';

/**
 * Brings q, k and v to f16, which saves every tile that reads them the conversion and half of the
 * bytes. A backward takes what the forward just before it converted. There is room for dOut.
 */
export function attentionHalves(
  engine: Engine,
  { q, k, v }: Record<'q' | 'k' | 'v', Tensor>,
  sizes: Sizes,
): Halves {
  const { batch, heads, headDim, queryLength, keyLength } = sizes;
  const [perQuery, perKey] = [queryLength, keyLength].map(
    (length) => (padded(length) * headDim) / 8,
  );
  const [ofQueries, ofKeys] = [perQuery, perKey].map((each) => batch * heads * each);
  const at = { q: 0, dOut: ofQueries, k: 2 * ofQueries, v: 2 * ofQueries + ofKeys };
  const halves = engine.scratch.get(SCRATCH, 'f16', 16 * (ofQueries + ofKeys));
  const shape = [batch, heads, headDim, queryLength, keyLength];
  if (!engine.scratch.holds(SCRATCH, [...[q, k, v].map(contentsOf), ...shape].join()))
    convert(
      engine,
      sizes,
      [
        { x: q, length: queryLength, to: at.q },
        { x: k, length: keyLength, to: at.k },
        { x: v, length: keyLength, to: at.v },
      ],
      halves,
      null,
    );
  return { halves, at, perQuery, perKey };
}

/** Gradients of attention's output and what scales them. */
interface Gradients {
  readonly dOut: Tensor;
  /** f32 `[rows]`: the largest |dOut| of every row. */
  readonly maxima: Tensor;
  /** f32 `[2]`, written: what dOut is multiplied by, and its inverse. */
  readonly factors: Tensor;
}

/** Puts dOut times the first of `factors` in the room for it. */
export function addGradientHalves(
  engine: Engine,
  { halves, at }: Halves,
  gradients: Gradients,
  sizes: Sizes,
): void {
  const input = { x: gradients.dOut, length: sizes.queryLength, to: at.dOut };
  convert(engine, sizes, [input], halves, gradients);
}
