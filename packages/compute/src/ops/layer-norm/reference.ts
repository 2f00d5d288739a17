import { floats } from '../../reference/storage.js';
import {
  checkLayerNorm,
  checkLayerNormBackward,
  type LayerNormArgs,
  type LayerNormBackwardArgs,
} from './op.js';

export function layerNorm(args: LayerNormArgs): void {
  checkLayerNorm(args);
  const width = args.weight.size;
  const [x, weight, bias, out] = [args.x, args.weight, args.bias, args.out].map(floats);
  const [means, rstds] = [floats(args.mean), floats(args.rstd)];
  for (let row = 0; row < means.length; row++) {
    const base = row * width;
    let mean = 0;
    for (let c = 0; c < width; c++) mean += x[base + c];
    mean /= width;
    let variance = 0;
    for (let c = 0; c < width; c++) variance += (x[base + c] - mean) ** 2;
    const rstd = 1 / Math.sqrt(variance / width + args.epsilon);
    for (let c = 0; c < width; c++)
      out[base + c] = (x[base + c] - mean) * rstd * weight[c] + bias[c];
    means[row] = mean;
    rstds[row] = rstd;
  }
}

export function layerNormBackward(args: LayerNormBackwardArgs): void {
  checkLayerNormBackward(args);
  const width = args.weight.size;
  const [dOut, x, weight, dX] = [args.dOut, args.x, args.weight, args.dX].map(floats);
  const [means, rstds] = [floats(args.mean), floats(args.rstd)];
  for (let row = 0; row < means.length; row++) {
    const base = row * width;
    let sum = 0;
    let sumNormalized = 0;
    for (let c = 0; c < width; c++) {
      const g = dOut[base + c] * weight[c];
      sum += g;
      sumNormalized += g * (x[base + c] - means[row]) * rstds[row];
    }
    for (let c = 0; c < width; c++) {
      const g = dOut[base + c] * weight[c];
      const normalized = (x[base + c] - means[row]) * rstds[row];
      const value = rstds[row] * (g - sum / width - (normalized * sumNormalized) / width);
      dX[base + c] = args.accumulate ? dX[base + c] + value : value;
    }
  }
}
