import { checkLayerNorm, checkLayerNormBackward, type Ops } from '@qlorajs/compute';
import type { Engine } from '../engine.js';
import { kernel, ROW_AND_COLUMN } from '../kernel.js';

const MEAN = kernel(
  'rowMean',
  ['x'],
  ['width'],
  `
  const start = xAt + this.thread.x * width;
  let sum = 0;
  for (let i = 0; i < width; i++) { sum = sum + x[start + i]; }
  return sum / width;`,
);

const RSTD = kernel(
  'rowRstd',
  ['x', 'mean'],
  ['width', 'epsilon'],
  `
  const start = xAt + this.thread.x * width;
  const center = mean[meanAt + this.thread.x];
  let sum = 0;
  for (let i = 0; i < width; i++) {
    const difference = x[start + i] - center;
    sum = sum + difference * difference;
  }
  return 1 / Math.sqrt(sum / width + epsilon);`,
);

const NORMALIZE = kernel(
  'normalize',
  ['x', 'weight', 'bias', 'mean', 'rstd'],
  ['width'],
  `${ROW_AND_COLUMN}
  const normalized = (x[xAt + this.thread.x] - mean[meanAt + row]) * rstd[rstdAt + row];
  return normalized * weight[weightAt + column] + bias[biasAt + column];`,
);

/** Mean of g = dOut * weight over a row. */
const MEAN_G = kernel(
  'rowMeanOfG',
  ['dOut', 'weight'],
  ['width'],
  `
  const start = dOutAt + this.thread.x * width;
  let sum = 0;
  for (let i = 0; i < width; i++) { sum = sum + dOut[start + i] * weight[weightAt + i]; }
  return sum / width;`,
);

/** Mean of g * normalized over a row. */
const MEAN_GN = kernel(
  'rowMeanOfGN',
  ['dOut', 'weight', 'x', 'mean', 'rstd'],
  ['width'],
  `
  const start = this.thread.x * width;
  const center = mean[meanAt + this.thread.x];
  let sum = 0;
  for (let i = 0; i < width; i++) {
    sum = sum + dOut[dOutAt + start + i] * weight[weightAt + i] * (x[xAt + start + i] - center);
  }
  return sum * rstd[rstdAt + this.thread.x] / width;`,
);

const BACKWARD = kernel(
  'layerNormBackward',
  ['dOut', 'weight', 'x', 'mean', 'rstd', 'meanG', 'meanGN'],
  ['width'],
  `${ROW_AND_COLUMN}
  const scale = rstd[rstdAt + row];
  const normalized = (x[xAt + this.thread.x] - mean[meanAt + row]) * scale;
  const g = dOut[dOutAt + this.thread.x] * weight[weightAt + column];
  return scale * (g - meanG[meanGAt + row] - normalized * meanGN[meanGNAt + row]);`,
);

/** LayerNorm: two kernels of a row each, and one of an element each. */
export function layerNormOps(engine: Engine): Pick<Ops, 'layerNorm' | 'layerNormBackward'> {
  return {
    layerNorm(args) {
      checkLayerNorm(args);
      const { x, weight, bias, epsilon, out, mean, rstd } = args;
      const width = weight.size;
      engine.store(mean, engine.run(MEAN, [x], [width], mean.size));
      engine.store(rstd, engine.run(RSTD, [x, mean], [width, epsilon], rstd.size));
      engine.store(out, engine.run(NORMALIZE, [x, weight, bias, mean, rstd], [width], out.size));
    },
    layerNormBackward(args) {
      checkLayerNormBackward(args);
      const { dOut, x, weight, mean, rstd, dX, accumulate } = args;
      const numbers = [weight.size];
      const meanG = engine.run(MEAN_G, [dOut, weight], numbers, mean.size);
      const meanGN = engine.run(MEAN_GN, [dOut, weight, x, mean, rstd], numbers, mean.size);
      const operands = [dOut, weight, x, mean, rstd, meanG, meanGN];
      engine.store(dX, engine.run(BACKWARD, operands, numbers, dX.size), accumulate ? 1 : 0);
      engine.drop(meanG, meanGN);
    },
  };
}
