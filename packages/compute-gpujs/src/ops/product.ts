import { checkMatmul, type Ops, type Tensor } from '@qlorajs/compute';
import type { Engine, Operand } from '../engine.js';
import type { Cells } from '../gpu-js.js';
import { kernel } from '../kernel.js';

/** alpha * op(a) op(b) + bias: a's and b's elements lie `row`, `inner` and `column` steps apart. */
const PRODUCT = kernel(
  'product',
  ['a', 'b', 'bias'],
  ['width', 'inner', 'rowA', 'innerA', 'innerB', 'columnB', 'alpha', 'biased'],
  `
  const row = divide(this.thread.x, width);
  const column = this.thread.x - row * width;
  const startA = aAt + row * rowA;
  const startB = bAt + column * columnB;
  let sum = 0;
  for (let i = 0; i < inner; i++) {
    sum = sum + a[startA + i * innerA] * b[startB + i * innerB];
  }
  let value = alpha * sum;
  if (biased > 0) { value = value + bias[biasAt + column]; }
  return value;`,
);

/** The same where both lie one step apart: the plain loop that engines know best. */
const ROWS_BY_ROWS = kernel(
  'rowsByRows',
  ['a', 'b', 'bias'],
  ['width', 'inner', 'alpha', 'biased'],
  `
  const row = divide(this.thread.x, width);
  const column = this.thread.x - row * width;
  const startA = aAt + row * inner;
  const startB = bAt + column * inner;
  let sum = 0;
  for (let i = 0; i < inner; i++) { sum = sum + a[startA + i] * b[startB + i]; }
  let value = alpha * sum;
  if (biased > 0) { value = value + bias[biasAt + column]; }
  return value;`,
);

/** The sizes and strides of a product. */
export interface ProductShape {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly rowA: number;
  readonly innerA: number;
  readonly innerB: number;
  readonly columnB: number;
}

/** `[m, n]` cells of alpha * op(a) op(b) + bias. */
export function product(
  engine: Engine,
  a: Operand,
  b: Operand,
  shape: ProductShape,
  alpha = 1,
  bias: Tensor | null = null,
): Cells {
  const { m, n, k, rowA, innerA, innerB, columnB } = shape;
  const plain = innerA === 1 && innerB === 1 && rowA === k && columnB === k;
  const strides = plain ? [] : [rowA, innerA, innerB, columnB];
  const numbers = [n, k, ...strides, alpha, bias ? 1 : 0];
  return engine.run(plain ? ROWS_BY_ROWS : PRODUCT, [a, b, bias], numbers, m * n);
}

export function matmulOps(engine: Engine): Pick<Ops, 'matmul'> {
  return {
    matmul(args) {
      checkMatmul(args);
      const { a, b, out, m, n, k, transposeA, transposeB, alpha, beta } = args;
      const [rowA, innerA] = transposeA ? [1, m] : [k, 1];
      const [innerB, columnB] = transposeB ? [1, k] : [n, 1];
      const shape = { m, n, k, rowA, innerA, innerB, columnB };
      engine.store(out, product(engine, a, b, shape, alpha), beta);
    },
  };
}
