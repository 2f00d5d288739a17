import type { Tensor } from '@qlorajs/compute';
import { type KernelSpec, read, write } from '../../device/kernel.js';
import { contentsOf, type Engine, flatGroups } from '../../engine.js';
import { Memo } from '../../memo.js';
import { eachRow, REDUCE, WIDTH } from '../../wgsl/flat.js';
import { each, groupsOf, HALF_BINDINGS, halfRow, WIDEST } from '../../wgsl/half-row.js';
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

/** The same for rows of several matrices, side by side in one. */
function joinedHalfRows(width: number, count: number): KernelSpec {
  const key = `halfRows ${width} ${count} joined`;
  const inputs = Array.from({ length: count }, (_, i) => i);
  return kernels.get(key, () => ({
    key,
    directives: 'enable f16;',
    bindings: {
      ...Object.fromEntries(inputs.map((i) => [`x${i}`, read('vec4f')])),
      ...HALF_BINDINGS,
    },
    params: { rows: 'u32' },
    body: halfRow(
      count * width,
      each(groupsOf(count * width), (g) => {
        const from = (i: number) =>
          `if (c${g} < ${(i + 1) * width}u) { value${g} = x${i}[(p.x${i}At + row * ${width}u + c${g} - ${i * width}u) / 4u]; }`;
        return `var value${g} = vec4f();\n${inputs.map(from).join(' else ')}`;
      }),
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

/** Whether {@link joinRows} takes rows of these matrices. */
export function canJoinRows(inputs: readonly Tensor[], width: number): boolean {
  const fits = width % 8 === 0 && inputs.length * width <= WIDEST;
  return fits && inputs.every(({ offset }) => offset % 4 === 0);
}

/** {@link halfRows} of whole matrices f32 `[rows, width]` side by side: each row has one power of two. */
export function joinRows(
  engine: Engine,
  inputs: readonly Tensor[],
  { rows, width }: { rows: number; width: number },
  padded: number,
): HalfRows {
  const pitch = inputs.length * width;
  const { values, scales } = scratchRows(engine, padded, pitch);
  const origin = originOf(inputs[0], `${inputs.slice(1).map(contentsOf)} ${rows} ${width} joined`);
  if (!engine.scratch.holds('half rows', origin)) {
    const tensors = Object.fromEntries(inputs.map((x, i) => [`x${i}`, x]));
    const kernel = joinedHalfRows(width, inputs.length);
    engine.recorder.dispatch(kernel, { ...tensors, values, scales }, { rows }, flatGroups(rows));
  }
  return { values, scales, pitch };
}
