import { floats } from '../../reference/storage.js';
import {
  type ColumnSumsArgs,
  checkColumnSums,
  checkInverseRowNorms,
  checkScaleColumns,
  type InverseRowNormsArgs,
  type ScaleColumnsArgs,
} from './op.js';

export function scaleColumns(args: ScaleColumnsArgs): void {
  checkScaleColumns(args);
  const [x, scale, out] = [floats(args.x), floats(args.scale), floats(args.out)];
  for (let i = 0; i < x.length; i++)
    out[i] = (args.accumulate ? out[i] : 0) + x[i] * scale[i % scale.length];
}

export function columnSums(args: ColumnSumsArgs): void {
  checkColumnSums(args);
  const [a, out] = [floats(args.a), floats(args.out)];
  const b = args.b && floats(args.b);
  for (let i = 0; i < a.length; i++) out[i % out.length] += a[i] * (b ? b[i] : 1);
}

export function inverseRowNorms(args: InverseRowNormsArgs): void {
  checkInverseRowNorms(args);
  const [x, out] = [floats(args.x), floats(args.out)];
  const width = x.length / out.length;
  for (let row = 0; row < out.length; row++) {
    let sum = 0;
    for (let c = 0; c < width; c++) sum += x[row * width + c] ** 2;
    out[row] = sum === 0 ? 0 : 1 / Math.sqrt(sum);
  }
}
