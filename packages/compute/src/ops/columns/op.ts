import { expectTensor, type Tensor } from '../../tensor.js';

/** out = x * scale, every column by a factor of its own. */
export interface ScaleColumnsArgs {
  /** f32 `[n, C]`; may be `out`. */
  readonly x: Tensor;
  /** f32 `[C]` */
  readonly scale: Tensor;
  /** f32 `[n, C]` */
  readonly out: Tensor;
  /** out += instead of out = . */
  readonly accumulate: boolean;
}

/** out += the sums of a's columns, or of those of a * b, in an order that does not depend on threads. */
export interface ColumnSumsArgs {
  /** f32 `[n, C]` */
  readonly a: Tensor;
  /** f32 `[n, C]`; null: all ones. */
  readonly b: Tensor | null;
  /** f32 `[C]` */
  readonly out: Tensor;
}

/** out = 1 / |row|, the 2-norm; 0 for a row of zeros. */
export interface InverseRowNormsArgs {
  /** f32 `[n, C]` */
  readonly x: Tensor;
  /** f32 `[n]` */
  readonly out: Tensor;
}

export function checkScaleColumns({ x, scale, out }: ScaleColumnsArgs): void {
  const rows = Math.floor(x.size / scale.size);
  expectTensor('scaleColumns', 'scale', scale, 'f32', scale.size);
  expectTensor('scaleColumns', 'x', x, 'f32', rows * scale.size);
  expectTensor('scaleColumns', 'out', out, 'f32', x.size);
}

export function checkColumnSums({ a, b, out }: ColumnSumsArgs): void {
  const rows = Math.floor(a.size / out.size);
  expectTensor('columnSums', 'out', out, 'f32', out.size);
  expectTensor('columnSums', 'a', a, 'f32', rows * out.size);
  if (b) expectTensor('columnSums', 'b', b, 'f32', a.size);
}

export function checkInverseRowNorms({ x, out }: InverseRowNormsArgs): void {
  const width = Math.floor(x.size / out.size);
  expectTensor('inverseRowNorms', 'out', out, 'f32', out.size);
  expectTensor('inverseRowNorms', 'x', x, 'f32', width * out.size);
}
