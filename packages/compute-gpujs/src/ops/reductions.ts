import {
  checkClipScale,
  checkColumnSums,
  checkInverseRowNorms,
  checkScaleColumns,
  checkSumSquares,
  type Ops,
  type Tensor,
} from '@qlorajs/compute';
import type { Engine } from '../engine.js';
import type { Cells } from '../gpu-js.js';
import { kernel, ROW_AND_COLUMN } from '../kernel.js';

/** Elements that one thread sums. */
const STRETCH = 256;

const stretch = (name: string, term: string) =>
  kernel(
    name,
    ['x'],
    ['size', 'length'],
    `
  const first = this.thread.x * length;
  let sum = 0;
  for (let i = 0; i < length; i++) {
    if (first + i < size) {
      const value = x[xAt + first + i];
      sum = sum + ${term};
    }
  }
  return sum;`,
  );

const SQUARES = stretch('squares', 'value * value');
const SUMS = stretch('sums', 'value');

const CLIP_SCALE = kernel(
  'clipScale',
  ['squares'],
  ['maxNorm'],
  `
  let value = 1;
  if (maxNorm > 0) { value = Math.min(1, maxNorm / (Math.sqrt(squares[squaresAt]) + 0.000001)); }
  return value;`,
);

const SCALE_COLUMNS = kernel(
  'scaleColumns',
  ['x', 'scale'],
  ['width'],
  `${ROW_AND_COLUMN}
  return x[xAt + this.thread.x] * scale[scaleAt + column];`,
);

const columnSums = (name: string, arrays: string[], term: string) =>
  kernel(
    name,
    arrays,
    ['rows', 'width'],
    `
  let sum = 0;
  for (let i = 0; i < rows; i++) {
    const at = i * width + this.thread.x;
    sum = sum + ${term};
  }
  return sum;`,
  );

const COLUMN_SUMS = columnSums('columnSums', ['a'], 'a[aAt + at]');
const PRODUCT_SUMS = columnSums('columnProductSums', ['a', 'b'], 'a[aAt + at] * b[bAt + at]');

const INVERSE_NORMS = kernel(
  'inverseRowNorms',
  ['x'],
  ['width'],
  `
  const start = xAt + this.thread.x * width;
  let sum = 0;
  for (let i = 0; i < width; i++) { sum = sum + x[start + i] * x[start + i]; }
  let value = 0;
  if (sum > 0) { value = 1 / Math.sqrt(sum); }
  return value;`,
);

type ReductionOp = 'sumSquares' | 'clipScale' | 'scaleColumns' | 'columnSums' | 'inverseRowNorms';

/** Sums, in an order that depends on sizes alone. */
export function reductionOps(engine: Engine): Pick<Ops, ReductionOp> {
  const sumOfSquares = (x: Tensor): Cells => {
    let count = Math.ceil(x.size / STRETCH);
    let sums = engine.run(SQUARES, [x], [x.size, STRETCH], count);
    while (count > 1) {
      const before = sums;
      sums = engine.run(SUMS, [before], [count, STRETCH], Math.ceil(count / STRETCH));
      engine.drop(before);
      count = Math.ceil(count / STRETCH);
    }
    return sums;
  };
  return {
    sumSquares(args) {
      checkSumSquares(args);
      engine.store(args.out, sumOfSquares(args.x), args.accumulate ? 1 : 0);
    },
    clipScale(args) {
      checkClipScale(args);
      engine.store(args.out, engine.run(CLIP_SCALE, [args.sumSquares], [args.maxNorm], 1));
    },
    scaleColumns(args) {
      checkScaleColumns(args);
      const { x, scale, out, accumulate } = args;
      const value = engine.run(SCALE_COLUMNS, [x, scale], [scale.size], x.size);
      engine.store(out, value, accumulate ? 1 : 0);
    },
    columnSums(args) {
      checkColumnSums(args);
      const { a, b, out } = args;
      const numbers = [a.size / out.size, out.size];
      const sums = b
        ? engine.run(PRODUCT_SUMS, [a, b], numbers, out.size)
        : engine.run(COLUMN_SUMS, [a], numbers, out.size);
      engine.store(out, sums, 1);
    },
    inverseRowNorms(args) {
      checkInverseRowNorms(args);
      const { x, out } = args;
      engine.store(out, engine.run(INVERSE_NORMS, [x], [x.size / out.size], out.size));
    },
  };
}
