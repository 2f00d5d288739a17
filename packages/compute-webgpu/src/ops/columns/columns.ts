import {
  type ColumnSumsArgs,
  checkColumnSums,
  checkInverseRowNorms,
  checkScaleColumns,
  type InverseRowNormsArgs,
  type ScaleColumnsArgs,
} from '@qlorajs/compute';
import { type KernelSpec, read, write } from '../../device/kernel.js';
import { type Engine, flatGroups } from '../../engine.js';
import { eachElement, eachRow, REDUCE, WIDTH } from '../../wgsl/flat.js';

function scaleKernel(accumulate: boolean): KernelSpec<'x' | 'scale' | 'out', 'size' | 'width'> {
  const before = accumulate ? 'out[p.outAt + i] + ' : '';
  return {
    key: accumulate ? 'scaleColumns, accumulated' : 'scaleColumns',
    bindings: { x: read(), scale: read(), out: write() },
    params: { size: 'u32', width: 'u32' },
    body: eachElement(
      `  out[p.outAt + i] = ${before}x[p.xAt + i] * scale[p.scaleAt + i % p.width];`,
    ),
  };
}

const SCALE = scaleKernel(false);
const SCALE_ACCUMULATED = scaleKernel(true);

/** A thread adds one column, so that neighbours read neighbours. */
const SUMS: KernelSpec<'a' | 'out', 'size' | 'rows'> = {
  key: 'columnSums',
  bindings: { a: read(), out: write() },
  params: { size: 'u32', rows: 'u32' },
  body: eachElement(/* wgsl */ `
  var sum = 0.0;
  for (var r = 0u; r < p.rows; r++) { sum += a[p.aAt + r * p.size + i]; }
  out[p.outAt + i] += sum;`),
};

const PRODUCT_SUMS: KernelSpec<'a' | 'b' | 'out', 'size' | 'rows'> = {
  key: 'columnSums of a product',
  bindings: { a: read(), b: read(), out: write() },
  params: { size: 'u32', rows: 'u32' },
  body: eachElement(/* wgsl */ `
  var sum = 0.0;
  for (var r = 0u; r < p.rows; r++) {
    sum += a[p.aAt + r * p.size + i] * b[p.bAt + r * p.size + i];
  }
  out[p.outAt + i] += sum;`),
};

const INVERSE_ROW_NORMS: KernelSpec<'x' | 'out', 'rows' | 'width'> = {
  key: 'inverseRowNorms',
  bindings: { x: read(), out: write() },
  params: { rows: 'u32', width: 'u32' },
  body: eachRow(
    /* wgsl */ `
  var sum = 0.0;
  for (var c = local; c < p.width; c += ${WIDTH}u) {
    let v = x[p.xAt + row * p.width + c];
    sum += v * v;
  }
  let total = reduceSum(sum, local);
  if (local == 0u) { out[p.outAt + row] = select(0.0, 1.0 / sqrt(max(total, 1e-38)), total > 0.0); }`,
    REDUCE,
  ),
};

export function scaleColumns(engine: Engine, args: ScaleColumnsArgs): void {
  checkScaleColumns(args);
  const { x, scale, out, accumulate } = args;
  const groups = flatGroups(Math.ceil(x.size / WIDTH));
  const params = { size: x.size, width: scale.size };
  const kernel = accumulate ? SCALE_ACCUMULATED : SCALE;
  engine.recorder.dispatch(kernel, { x, scale, out }, params, groups);
}

export function columnSums(engine: Engine, args: ColumnSumsArgs): void {
  checkColumnSums(args);
  const { a, b, out } = args;
  const groups = flatGroups(Math.ceil(out.size / WIDTH));
  const params = { size: out.size, rows: a.size / out.size };
  if (b) engine.recorder.dispatch(PRODUCT_SUMS, { a, b, out }, params, groups);
  else engine.recorder.dispatch(SUMS, { a, out }, params, groups);
}

export function inverseRowNorms(engine: Engine, args: InverseRowNormsArgs): void {
  checkInverseRowNorms(args);
  const { x, out } = args;
  const params = { rows: out.size, width: x.size / out.size };
  engine.recorder.dispatch(INVERSE_ROW_NORMS, { x, out }, params, flatGroups(out.size));
}
