import { checkCrossEntropy, type Ops } from '@qlorajs/compute';
import type { Engine } from '../engine.js';
import { kernel, ROW_AND_COLUMN } from '../kernel.js';
import { expectIndices } from './indices.js';

const MAXIMUM = kernel(
  'rowMaximum',
  ['logits'],
  ['width'],
  `
  const start = logitsAt + this.thread.x * width;
  let largest = logits[start];
  for (let i = 1; i < width; i++) { largest = Math.max(largest, logits[start + i]); }
  return largest;`,
);

/** Sums of exp over stretches of a row, so that f32 sums stay short. */
const EXP_SUMS = kernel(
  'expSums',
  ['logits', 'largest'],
  ['width', 'stretches', 'length'],
  `
  const row = divide(this.thread.x, stretches);
  const first = (this.thread.x - row * stretches) * length;
  const start = logitsAt + row * width + first;
  let sum = 0;
  for (let i = 0; i < length; i++) {
    if (first + i < width) { sum = sum + Math.exp(logits[start + i] - largest[largestAt + row]); }
  }
  return sum;`,
);

const ROW_SUMS = kernel(
  'rowSums',
  ['parts'],
  ['count'],
  `
  let sum = 0;
  for (let i = 0; i < count; i++) { sum = sum + parts[partsAt + this.thread.x * count + i]; }
  return sum;`,
);

const LOSSES = kernel(
  'losses',
  ['logits', 'labels', 'largest', 'sums'],
  ['width'],
  `
  const label = labels[labelsAt + this.thread.x];
  const own = logits[logitsAt + this.thread.x * width + Math.max(0, label)];
  let value = 0;
  if (label >= 0) {
    value = largest[largestAt + this.thread.x] - own + Math.log(sums[sumsAt + this.thread.x]);
  }
  return value;`,
);

const GRADIENT = kernel(
  'crossEntropyGradient',
  ['logits', 'labels', 'largest', 'sums'],
  ['width', 'scale'],
  `${ROW_AND_COLUMN}
  const label = labels[labelsAt + row];
  let value = 0;
  if (label >= 0) {
    value = Math.exp(logits[logitsAt + this.thread.x] - largest[largestAt + row]) / sums[sumsAt + row];
    if (Math.abs(column - label) < 0.5) { value = value - 1; }
  }
  return value * scale;`,
);

/** Logits of a stretch. */
const STRETCH = 256;

export function crossEntropyOps(engine: Engine): Pick<Ops, 'crossEntropy'> {
  return {
    crossEntropy(args) {
      checkCrossEntropy(args);
      const { logits, labels, losses, gradientScale } = args;
      const width = logits.size / labels.size;
      const rows = labels.size;
      expectIndices(engine, 'crossEntropy', 'labels', labels, -(2 ** 31), width);
      const stretches = Math.ceil(width / STRETCH);
      const largest = engine.run(MAXIMUM, [logits], [width], rows);
      const numbers = [width, stretches, STRETCH];
      const parts = engine.run(EXP_SUMS, [logits, largest], numbers, rows * stretches);
      const sums = engine.run(ROW_SUMS, [parts], [stretches], rows);
      const operands = [logits, labels, largest, sums];
      engine.store(losses, engine.run(LOSSES, operands, [width], rows));
      if (gradientScale !== null)
        engine.store(logits, engine.run(GRADIENT, operands, [width, gradientScale], logits.size));
      engine.drop(largest, parts, sums);
    },
  };
}
