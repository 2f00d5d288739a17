import { floats, integers } from '../../reference/storage.js';
import { checkRotary, type RotaryArgs } from './op.js';

export function rotary(args: RotaryArgs): void {
  checkRotary(args);
  const { heads, headDim, inverse } = args;
  const half = args.rotaryDim / 2;
  const [x, cos, sin] = [floats(args.x), floats(args.cos), floats(args.sin)];
  const positions = integers(args.positions);
  for (let row = 0; row < positions.length; row++)
    for (let head = 0; head < heads; head++) {
      const base = (row * heads + head) * headDim;
      for (let i = 0; i < half; i++) {
        const c = cos[positions[row] * half + i];
        const s = sin[positions[row] * half + i] * (inverse ? -1 : 1);
        const [low, high] = [x[base + i], x[base + half + i]];
        x[base + i] = low * c - high * s;
        x[base + half + i] = high * c + low * s;
      }
    }
}
