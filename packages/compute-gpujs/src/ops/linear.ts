import {
  checkDequantizeNf4,
  checkLinear,
  checkLinearBackward,
  type Ops,
  type Tensor,
} from '@qlorajs/compute';
import type { Engine } from '../engine.js';
import type { Cells } from '../gpu-js.js';
import { kernel, ROW_AND_COLUMN } from '../kernel.js';
import { product } from './product.js';
import { decode, panelsOf, panelValues } from './weight.js';

/** `[n, width]` with `count` columns from `first` on taken from `part` `[n, count]`. */
const PLACE = kernel(
  'placeColumns',
  ['part', 'old'],
  ['width', 'first', 'count'],
  `${ROW_AND_COLUMN}
  let value = old[oldAt + this.thread.x];
  const at = column - first;
  if (at >= 0 && at < count) {
    value = part[partAt + row * count + Math.max(0, Math.min(count - 1, at))];
  }
  return value;`,
);

const part = (tensor: Tensor, offset: number, size: number): Tensor => ({
  ...tensor,
  offset: tensor.offset + offset,
  size,
});

/** Products with frozen weights: NF4 is decoded a panel at a time. */
export function linearOps(
  engine: Engine,
): Pick<Ops, 'linear' | 'linearBackward' | 'dequantizeNf4'> {
  return {
    linear(args) {
      checkLinear(args);
      const { x, weight, bias, out, accumulate } = args;
      const [outFeatures, k] = weight.shape;
      const m = out.size / outFeatures;
      let whole: Cells = new Float32Array(0);
      for (const panel of panelsOf(weight)) {
        const { firstRow, rows } = panel;
        const values = panelValues(engine, weight, panel);
        const shape = { m, n: rows, k, rowA: k, innerA: 1, innerB: 1, columnB: k };
        const columns = product(engine, x, values, shape, 1, bias && part(bias, firstRow, rows));
        engine.drop(values);
        if (rows === outFeatures) {
          whole = columns;
          break;
        }
        const before = firstRow === 0 ? new Float32Array(out.size) : whole;
        whole = engine.run(PLACE, [columns, before], [outFeatures, firstRow, rows], out.size);
        engine.drop(columns, before);
      }
      engine.store(out, whole, accumulate ? 1 : 0);
    },
    linearBackward(args) {
      checkLinearBackward(args);
      const { dOut, weight, dX, accumulate } = args;
      const [outFeatures, n] = weight.shape;
      const m = dX.size / n;
      for (const panel of panelsOf(weight)) {
        const { firstRow, rows: k } = panel;
        const values = panelValues(engine, weight, panel);
        const shape = { m, n, k, rowA: outFeatures, innerA: 1, innerB: n, columnB: 1 };
        const from = part(dOut, firstRow, dOut.size - firstRow);
        engine.store(dX, product(engine, from, values, shape), accumulate || firstRow > 0 ? 1 : 0);
        engine.drop(values);
      }
    },
    dequantizeNf4(args) {
      checkDequantizeNf4(args);
      const { weight, out } = args;
      const width = weight.shape[1];
      for (const panel of panelsOf(weight)) {
        const rows = part(out, panel.firstRow * width, panel.rows * width);
        engine.store(rows, decode(engine, weight, panel));
      }
    },
  };
}
