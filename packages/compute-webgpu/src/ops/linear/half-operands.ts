import { type LinearWeight, NF4_CODE, type Nf4Weight, type Tensor } from '@qlorajs/compute';
import { type KernelSpec, read, write } from '../../device/kernel.js';
import { contentsOf, type Engine, flatGroups } from '../../engine.js';
import { Memo } from '../../memo.js';
import { eachRow, REDUCE, WIDTH } from '../../wgsl/flat.js';
import { each, groupsOf, HALF_BINDINGS, halfRow, WIDEST } from '../../wgsl/half-row.js';
import { weightParams, weightReader, weightTensors } from '../../wgsl/weight.js';
import { FEW_ROWS } from './linear-rows.js';

/** Rows of an f32 matrix as f16, each by a power of two of its own. */
export interface HalfRows {
  /** f16 `[rows, pitch]`; rows beyond the matrix hold anything. */
  readonly values: Tensor;
  /** f32 `[rows]`: what a product with a row is multiplied by. */
  readonly scales: Tensor;
  readonly pitch: number;
}

const kernels = new Memo<KernelSpec>();

/**
 * A row is multiplied by the power of two that brings its largest element to [2^14, 2^15): then no
 * gradient underflows and no activation overflows in f16, and there is no loss scale to look after.
 */
const HALF_ROWS: KernelSpec<'x' | 'values' | 'scales', 'rows' | 'width' | 'stride' | 'pitch'> = {
  key: 'halfRows',
  directives: 'enable f16;',
  bindings: { x: read(), values: write('f16'), scales: write() },
  params: { rows: 'u32', width: 'u32', stride: 'u32', pitch: 'u32' },
  body: eachRow(
    /* wgsl */ `
  var largestHere = 0.0;
  for (var c = local; c < p.width; c += ${WIDTH}u) {
    largestHere = max(largestHere, abs(x[p.xAt + row * p.stride + c]));
  }
  let exponent = (bitcast<u32>(reduceMax(largestHere, local)) >> 23u) & 255u;
  // Zeros stay zeros; infinities and NaN stay what they are.
  let plain = exponent == 0u || exponent == 255u;
  let power = select(clamp(268u - exponent, 1u, 253u), 127u, plain);
  let factor = bitcast<f32>(power << 23u);
  for (var c = local; c < p.pitch; c += ${WIDTH}u) {
    var value = 0.0;
    if (c < p.width) { value = x[p.xAt + row * p.stride + c] * factor; }
    values[p.valuesAt + row * p.pitch + c] = f16(value);
  }
  if (local == 0u) { scales[p.scalesAt + row] = bitcast<f32>((254u - power) << 23u); }`,
    REDUCE,
  ),
};

/** The same for whole rows that a workgroup's threads have in their registers. */
function wideHalfRows(width: number): KernelSpec {
  const key = `halfRows ${width}`;
  return kernels.get(key, () => ({
    key,
    directives: 'enable f16;',
    bindings: { x: read('vec4f'), ...HALF_BINDINGS },
    params: { rows: 'u32', width: 'u32', stride: 'u32', pitch: 'u32' },
    body: halfRow(
      width,
      each(
        groupsOf(width),
        (i) =>
          `var value${i} = vec4f(); if (in${i}) { value${i} = x[(p.xAt + row * p.stride + c${i}) / 4u]; }`,
      ),
      '',
      false,
    ),
  }));
}

/** Names what the scratch rows were made from, so that projections of one input convert it once. */
const originOf = (x: Tensor, layout: string) => `${contentsOf(x)} ${layout}`;

function scratchRows(engine: Engine, padded: number, pitch: number) {
  return {
    values: engine.scratch.get('half rows', 'f16', padded * pitch),
    scales: engine.scratch.get('half scales', 'f32', padded),
  };
}

/**
 * @param x f32, `rows` rows of `width` elements that are `stride` apart
 * @param padded rows that the caller may read
 */
export function halfRows(
  engine: Engine,
  x: Tensor,
  { rows, width, stride }: { rows: number; width: number; stride: number },
  padded: number,
): HalfRows {
  const pitch = Math.ceil(width / 8) * 8;
  const { values, scales } = scratchRows(engine, padded, pitch);
  if (!engine.scratch.holds('half rows', originOf(x, `${rows} ${width} ${stride}`))) {
    const wide = width === pitch && width <= WIDEST && stride % 4 === 0 && x.offset % 4 === 0;
    const kernel: KernelSpec = wide ? wideHalfRows(width) : HALF_ROWS;
    const params = { rows, width, stride, pitch };
    engine.recorder.dispatch(kernel, { x, values, scales }, params, flatGroups(rows));
  }
  return { values, scales, pitch };
}

/** Rows of a tile of any product: what a producer of rows leaves room for. */
const PADDING = 128;

/**
 * Lets the operation that makes rows write them in f16 as well, where a product is likely to want
 * them next.
 * @param out f32 `[rows, width]`, what the operation writes
 * @param make records the operation
 * @returns false where the rows do not suit; then nothing was recorded
 */
export function withHalfRows(
  engine: Engine,
  out: Tensor,
  inputs: readonly Tensor[],
  make: (halves: Pick<HalfRows, 'values' | 'scales'>, rows: number, width: number) => void,
): boolean {
  const [rows, width] = out.shape;
  if (engine.tier === 'f32' || out.shape.length !== 2 || rows <= FEW_ROWS) return false;
  if (width % 8 !== 0 || width > WIDEST || [out, ...inputs].some(({ offset }) => offset % 4 !== 0))
    return false;
  const halves = scratchRows(engine, Math.ceil(rows / PADDING) * PADDING, width);
  make(halves, rows, width);
  engine.scratch.holds('half rows', originOf(out, `${rows} ${width} ${width}`));
  return true;
}

const TABLE = [...NF4_CODE].map((value, i) => `nibbles[${i}] = ${value};`).join(' ');

/**
 * A thread decodes `words` words of eight codes; a block holds a multiple of eight. A table of both
 * codes of a byte halves the look-ups, and all loads are issued before the first is waited for.
 */
function dequantizeKernel(weight: Nf4Weight, words: number): KernelSpec {
  const reader = weightReader(weight);
  const key = `dequantize to f16, ${reader.key} ${words}`;
  const each = (text: (i: number) => string) =>
    Array.from({ length: words }, (_, i) => text(i)).join('\n');
  const pair = (i: number, shift: number) =>
    `bitcast<u32>(vec2h(pairs[(word${i} >> ${shift}u) & 255u] * scale${i}))`;
  return kernels.get(key, () => ({
    key,
    directives: 'enable f16;',
    bindings: { ...reader.bindings, halves: write('vec4u') },
    params: { ...reader.params, size: 'u32' },
    body: /* wgsl */ `${reader.declarations}
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
    (i) => `let at${i} = min(first + ${32 * i}u, p.size - 1u);
  let word${i} = codes[p.codesAt / 4u + at${i}];
  let scale${i} = scaleAt(at${i} * 8u / p.blockSize);`,
  )}
  if (local == 0u) { ${TABLE} }
  workgroupBarrier();
  pairs[local] = vec2f(nibbles[local >> 4u], nibbles[local & 15u]);
  workgroupBarrier();
  ${each(
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

/** The weight `[out, in]` in f16: itself, or decoded to the one scratch that all weights share. */
export function halfWeight(engine: Engine, weight: LinearWeight): Tensor {
  if (weight.kind === 'dense') return weight.values;
  const size = weight.shape[0] * weight.shape[1];
  const halves = engine.scratch.get('half weight', 'f16', size);
  const words = size / 8 >= 4 * WIDTH ? 4 : 1;
  const kernel = dequantizeKernel(weight, words);
  const tensors = { ...weightTensors(weight), halves };
  const params = { ...weightParams(weight), size: size / 8 };
  engine.recorder.dispatch(
    kernel,
    tensors,
    params,
    flatGroups(Math.ceil(size / 8 / WIDTH / words)),
  );
  return halves;
}
