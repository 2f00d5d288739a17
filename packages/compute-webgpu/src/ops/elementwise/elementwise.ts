import { type AxpbyArgs, checkAxpby, checkFill, type FillArgs } from '@qlorajs/compute';
import { type KernelSpec, read, write } from '../../device/kernel.js';
import { type Engine, flatGroups } from '../../engine.js';
import { eachElement, WIDTH } from '../../wgsl/flat.js';

function axpbyKernel(overwrite: boolean): KernelSpec<'x' | 'out', 'size' | 'alpha' | 'beta'> {
  const added = overwrite ? '' : ' + p.beta * out[p.outAt + i]';
  return {
    key: overwrite ? 'axpby, beta 0' : 'axpby',
    bindings: { x: read(), out: write() },
    params: { size: 'u32', alpha: 'f32', beta: 'f32' },
    body: eachElement(`  out[p.outAt + i] = p.alpha * x[p.xAt + i]${added};`),
  };
}

const AXPBY = axpbyKernel(false);
const SCALE = axpbyKernel(true);

/** The bits of the value, so that a NaN or a negative zero arrives as it is. */
const FILL: KernelSpec<'out', 'size' | 'bits'> = {
  key: 'fill',
  bindings: { out: write('u32') },
  params: { size: 'u32', bits: 'u32' },
  body: eachElement('  out[p.outAt + i] = p.bits;'),
};

export function axpby(engine: Engine, args: AxpbyArgs): void {
  checkAxpby(args);
  const { x, out, alpha, beta } = args;
  const groups = flatGroups(Math.ceil(x.size / WIDTH));
  const params = { size: x.size, alpha, beta };
  engine.recorder.dispatch(beta === 0 ? SCALE : AXPBY, { x, out }, params, groups);
}

export function fill(engine: Engine, args: FillArgs): void {
  checkFill(args);
  const { out, value } = args;
  const [bits] = new Uint32Array(Float32Array.of(value).buffer);
  const groups = flatGroups(Math.ceil(out.size / WIDTH));
  engine.recorder.dispatch(FILL, { out }, { size: out.size, bits }, groups);
}
