import { checkRotary, type RotaryArgs } from '@qlorajs/compute';
import { type KernelSpec, read, write } from '../../device/kernel.js';
import { type Engine, flatGroups } from '../../engine.js';
import { eachElement, WIDTH } from '../../wgsl/flat.js';

/** A thread turns one pair (i, i + half) of one head. */
const ROTARY: KernelSpec<
  'x' | 'positions' | 'cos' | 'sin',
  'size' | 'heads' | 'headDim' | 'half' | 'sign'
> = {
  key: 'rotary',
  bindings: { x: write(), positions: read('i32'), cos: read(), sin: read() },
  params: { size: 'u32', heads: 'u32', headDim: 'u32', half: 'u32', sign: 'f32' },
  merges: true,
  body: eachElement(/* wgsl */ `
  let pair = i % p.half;
  let headRow = i / p.half;
  let at = p.xAt + headRow * p.headDim + pair;
  let turn = u32(positions[p.positionsAt + headRow / p.heads]) * p.half + pair;
  let c = cos[p.cosAt + turn];
  let s = sin[p.sinAt + turn] * p.sign;
  let low = x[at];
  let high = x[at + p.half];
  x[at] = low * c - high * s;
  x[at + p.half] = high * c + low * s;`),
};

export function rotary(engine: Engine, args: RotaryArgs): void {
  checkRotary(args);
  const { x, positions, cos, sin, heads, headDim, rotaryDim, inverse } = args;
  const half = rotaryDim / 2;
  const size = positions.size * heads * half;
  const params = { size, heads, headDim, half, sign: inverse ? -1 : 1 };
  const groups = flatGroups(Math.ceil(size / WIDTH));
  engine.recorder.dispatch(ROTARY, { x, positions, cos, sin }, params, groups);
}
