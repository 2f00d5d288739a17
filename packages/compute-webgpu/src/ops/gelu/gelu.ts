import {
  checkGelu,
  checkGeluBackward,
  type GeluArgs,
  type GeluBackwardArgs,
} from '@qlorajs/compute';
import { type KernelSpec, read, write } from '../../device/kernel.js';
import { type Engine, flatGroups } from '../../engine.js';
import { Memo } from '../../memo.js';
import { eachElement, WIDTH } from '../../wgsl/flat.js';
import { each, groupsOf, HALF_BINDINGS, halfRow, wide } from '../../wgsl/half-row.js';
import { withHalfRows } from '../linear/half-operands.js';

/**
 * gelu_new(x) = x s(x) with s the logistic function of 2 sqrt(2 / pi) (x + 0.044715 x^3): the tanh
 * form without the cancellation of 1 - tanh^2. Both s and 1 - s come from an exp of their own.
 */
export const LOGISTIC = /* wgsl */ `
const SCALE = 1.5957691216057308;
const CUBIC = 0.044715;
fn logisticOf(x: f32, sign: f32) -> f32 {
  let u = clamp(SCALE * (x + CUBIC * x * x * x), -80.0, 80.0);
  return 1.0 / (1.0 + exp(-sign * u));
}`;

const GELU: KernelSpec<'x' | 'out', 'size'> = {
  key: 'gelu',
  bindings: { x: read(), out: write() },
  params: { size: 'u32' },
  body: eachElement(
    /* wgsl */ `
  let v = x[p.xAt + i];
  out[p.outAt + i] = v * logisticOf(v, 1.0);`,
    LOGISTIC,
  ),
};

const GELU_BACKWARD: KernelSpec<'dOut' | 'x' | 'dX', 'size'> = {
  key: 'geluBackward',
  bindings: { dOut: read(), x: read(), dX: write() },
  params: { size: 'u32' },
  body: eachElement(
    /* wgsl */ `
  let v = x[p.xAt + i];
  let gate = logisticOf(v, 1.0);
  let slope = gate + v * gate * logisticOf(v, -1.0) * SCALE * (1.0 + 3.0 * CUBIC * v * v);
  dX[p.dXAt + i] = dOut[p.dOutAt + i] * slope;`,
    LOGISTIC,
  ),
};

const GROUP = /* wgsl */ `
fn geluOf(v: vec4f) -> vec4f {
  return v * vec4f(logisticOf(v.x, 1.0), logisticOf(v.y, 1.0), logisticOf(v.z, 1.0), logisticOf(v.w, 1.0));
}
fn slopeAt(v: f32) -> f32 {
  let gate = logisticOf(v, 1.0);
  return gate + v * gate * logisticOf(v, -1.0) * SCALE * (1.0 + 3.0 * CUBIC * v * v);
}
fn slopeOf(v: vec4f) -> vec4f {
  return vec4f(slopeAt(v.x), slopeAt(v.y), slopeAt(v.z), slopeAt(v.w));
}`;

const kernels = new Memo<KernelSpec>();

/** The operation over rows that a product reads next, in f16 as well. */
function rowKernel(width: number, backward: boolean): KernelSpec {
  const key = `${backward ? 'geluBackward' : 'gelu'} ${width}, halves`;
  const x = (i: number) => `x[(p.xAt + row * ${width}u + c${i}) / 4u]`;
  const dOut = (i: number) => `dOut[(p.dOutAt + row * ${width}u + c${i}) / 4u]`;
  const value = (i: number) => (backward ? `${dOut(i)} * slopeOf(${x(i)})` : `geluOf(${x(i)})`);
  return kernels.get(key, () => ({
    key,
    directives: 'enable f16;',
    bindings: {
      x: wide,
      ...(backward ? { dOut: wide } : {}),
      out: write('vec4f'),
      ...HALF_BINDINGS,
    },
    params: { rows: 'u32' },
    body: halfRow(
      width,
      each(
        groupsOf(width),
        (i) => `var value${i} = vec4f(); if (in${i}) { value${i} = ${value(i)}; }`,
      ),
      LOGISTIC + GROUP,
    ),
  }));
}

export function gelu(engine: Engine, args: GeluArgs): void {
  checkGelu(args);
  const { x, out } = args;
  const { recorder } = engine;
  const made = withHalfRows(engine, out, [x], (halves, rows, width) =>
    recorder.dispatch(rowKernel(width, false), { x, out, ...halves }, { rows }, flatGroups(rows)),
  );
  if (made) return;
  const groups = flatGroups(Math.ceil(x.size / WIDTH));
  recorder.dispatch(GELU, { x, out }, { size: x.size }, groups);
}

export function geluBackward(engine: Engine, args: GeluBackwardArgs): void {
  checkGeluBackward(args);
  const { dOut, x, dX } = args;
  const { recorder } = engine;
  const made = withHalfRows(engine, dX, [x, dOut], (halves, rows, width) => {
    const tensors = { x, dOut, out: dX, ...halves };
    recorder.dispatch(rowKernel(width, true), tensors, { rows }, flatGroups(rows));
  });
  if (made) return;
  const groups = flatGroups(Math.ceil(x.size / WIDTH));
  recorder.dispatch(GELU_BACKWARD, { dOut, x, dX }, { size: x.size }, groups);
}
