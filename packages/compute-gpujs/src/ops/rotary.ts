import { checkRotary, type Ops } from '@qlorajs/compute';
import type { Engine } from '../engine.js';
import { kernel } from '../kernel.js';
import { expectIndices } from './indices.js';

const ROTARY = kernel(
  'rotary',
  ['x', 'positions', 'cos', 'sin'],
  ['heads', 'headDim', 'pairs', 'direction'],
  `
  const head = divide(this.thread.x, headDim);
  const within = this.thread.x - head * headDim;
  const own = x[xAt + this.thread.x];
  let value = own;
  if (within < 2 * pairs) {
    const position = positions[positionsAt + divide(head, heads)];
    let pair = within;
    let other = this.thread.x + pairs;
    let sign = -direction;
    if (within >= pairs) {
      pair = within - pairs;
      other = this.thread.x - pairs;
      sign = direction;
    }
    const at = position * pairs + pair;
    value = own * cos[cosAt + at] + sign * x[xAt + other] * sin[sinAt + at];
  }
  return value;`,
);

export function rotaryOps(engine: Engine): Pick<Ops, 'rotary'> {
  return {
    rotary(args) {
      checkRotary(args);
      const { x, positions, cos, sin, heads, headDim, rotaryDim, inverse } = args;
      const pairs = rotaryDim / 2;
      expectIndices(engine, 'rotary', 'positions', positions, 0, cos.size / pairs);
      const numbers = [heads, headDim, pairs, inverse ? -1 : 1];
      engine.store(x, engine.run(ROTARY, [x, positions, cos, sin], numbers, x.size));
    },
  };
}
