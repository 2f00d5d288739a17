import {
  checkGelu,
  checkGeluBackward,
  type GeluArgs,
  type GeluBackwardArgs,
} from '@qlorajs/compute';
import { type KernelSpec, read, write } from '../../device/kernel.js';
import { type Engine, flatGroups } from '../../engine.js';
import { eachElement, WIDTH } from '../../wgsl/flat.js';

/**
 * gelu_new(x) = x s(x) with s the logistic function of 2 sqrt(2 / pi) (x + 0.044715 x^3): the tanh
 * form without the cancellation of 1 - tanh^2. Both s and 1 - s come from an exp of their own.
 */
const LOGISTIC = /* wgsl */ `
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

export function gelu(engine: Engine, args: GeluArgs): void {
  checkGelu(args);
  const { x, out } = args;
  const groups = flatGroups(Math.ceil(x.size / WIDTH));
  engine.recorder.dispatch(GELU, { x, out }, { size: x.size }, groups);
}

export function geluBackward(engine: Engine, args: GeluBackwardArgs): void {
  checkGeluBackward(args);
  const { dOut, x, dX } = args;
  const groups = flatGroups(Math.ceil(x.size / WIDTH));
  engine.recorder.dispatch(GELU_BACKWARD, { dOut, x, dX }, { size: x.size }, groups);
}
