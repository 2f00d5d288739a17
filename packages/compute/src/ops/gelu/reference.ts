import { floats } from '../../reference/storage.js';
import { checkGelu, checkGeluBackward, type GeluArgs, type GeluBackwardArgs } from './op.js';

const SCALE = Math.sqrt(2 / Math.PI);
const CUBIC = 0.044715;

export function gelu(args: GeluArgs): void {
  checkGelu(args);
  const [x, out] = [floats(args.x), floats(args.out)];
  for (let i = 0; i < x.length; i++)
    out[i] = 0.5 * x[i] * (1 + Math.tanh(SCALE * (x[i] + CUBIC * x[i] ** 3)));
}

export function geluBackward(args: GeluBackwardArgs): void {
  checkGeluBackward(args);
  const [dOut, x, dX] = [floats(args.dOut), floats(args.x), floats(args.dX)];
  for (let i = 0; i < x.length; i++) {
    const t = Math.tanh(SCALE * (x[i] + CUBIC * x[i] ** 3));
    const slope = 0.5 * (1 + t) + 0.5 * x[i] * (1 - t * t) * SCALE * (1 + 3 * CUBIC * x[i] * x[i]);
    dX[i] = dOut[i] * slope;
  }
}
