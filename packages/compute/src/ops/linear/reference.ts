import { floats } from '../../reference/storage.js';
import { denseValues } from '../nf4/reference.js';
import {
  checkLinear,
  checkLinearBackward,
  type LinearArgs,
  type LinearBackwardArgs,
} from './op.js';

export function linear(args: LinearArgs): void {
  checkLinear(args);
  const [outFeatures, inFeatures] = args.weight.shape;
  const [x, out] = [floats(args.x), floats(args.out)];
  const weight = denseValues(args.weight);
  const bias = args.bias ? floats(args.bias) : null;
  for (let row = 0; row < out.length / outFeatures; row++)
    for (let o = 0; o < outFeatures; o++) {
      let sum = bias ? bias[o] : 0;
      for (let i = 0; i < inFeatures; i++)
        sum += x[row * inFeatures + i] * weight[o * inFeatures + i];
      const at = row * outFeatures + o;
      out[at] = args.accumulate ? out[at] + sum : sum;
    }
}

export function linearBackward(args: LinearBackwardArgs): void {
  checkLinearBackward(args);
  const [outFeatures, inFeatures] = args.weight.shape;
  const [dOut, dX] = [floats(args.dOut), floats(args.dX)];
  const weight = denseValues(args.weight);
  if (!args.accumulate) dX.fill(0);
  for (let row = 0; row < dX.length / inFeatures; row++)
    for (let o = 0; o < outFeatures; o++) {
      const g = dOut[row * outFeatures + o];
      for (let i = 0; i < inFeatures; i++)
        dX[row * inFeatures + i] += g * weight[o * inFeatures + i];
    }
}
