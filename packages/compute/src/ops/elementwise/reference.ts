import { floats } from '../../reference/storage.js';
import { type AxpbyArgs, checkAxpby, checkFill, type FillArgs } from './op.js';

export function axpby(args: AxpbyArgs): void {
  checkAxpby(args);
  const [x, out] = [floats(args.x), floats(args.out)];
  for (let i = 0; i < x.length; i++)
    out[i] = args.alpha * x[i] + (args.beta === 0 ? 0 : args.beta * out[i]);
}

export function fill(args: FillArgs): void {
  checkFill(args);
  floats(args.out).fill(args.value);
}
