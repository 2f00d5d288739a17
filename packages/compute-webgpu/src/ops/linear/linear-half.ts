import { type KernelSpec, read, write } from '../../device/kernel.js';
import type { Engine } from '../../engine.js';
import { Memo } from '../../memo.js';
import { gemmBody, gemmPlan, tileKey } from '../../wgsl/gemm.js';
import { MATRIX_DIRECTIVES, type MatrixTile, matrixGemmBody } from '../../wgsl/matrix-gemm.js';
import { halfRows, halfWeight } from './half-operands.js';
import type { LinearBackwardPart, LinearPart } from './linear-f32.js';
import { matrixTile } from './matrix-tile.js';

/** One product of f16 operands; everything that is not a size is part of the kernel. */
interface Product {
  readonly key: string;
  readonly bAlongK: boolean;
  readonly m: number;
  readonly n: number;
  readonly k: number;
}

const kernels = new Memo<KernelSpec>();
const PARAMS = {
  m: 'u32',
  n: 'u32',
  k: 'u32',
  span: 'u32',
  bRows: 'u32',
  outStride: 'u32',
} as const;

function storeText(bias: boolean, accumulate: boolean): string {
  return /* wgsl */ `
      let at = p.outAt + m * p.outStride + n;
      out[at] = value * scales[p.scalesAt + m]${bias ? ' + bias[p.biasAt + n]' : ''}${accumulate ? ' + out[at]' : ''};`;
}

function matrixKernel(
  { key, bAlongK, n, k }: Product,
  tile: MatrixTile,
  bias: boolean,
  accumulate: boolean,
): KernelSpec {
  const whole = n % tile.columns === 0 && k % tile.depth === 0;
  const name = `${key} ${Object.values(tile).join('x')}${whole ? '' : ' ragged'}`;
  return kernels.get(name, () => ({
    key: name,
    directives: MATRIX_DIRECTIVES,
    bindings: {
      a: read('vec4u'),
      b: read('vec4u'),
      scales: read(),
      ...(bias ? { bias: read() } : {}),
      out: write(),
    },
    params: PARAMS,
    body: matrixGemmBody({
      tile,
      bAlongK,
      whole,
      vectors: true,
      store: storeText(bias, accumulate),
    }),
  }));
}

function tiledKernel(product: Product, bias: boolean, accumulate: boolean): KernelSpec {
  const { tile } = gemmPlan(product.m, product.n, product.k, false);
  const name = `${product.key} f16 ${tileKey(tile)}`;
  return kernels.get(name, () => ({
    key: name,
    directives: 'enable f16;',
    bindings: {
      a: read('f16'),
      b: read('f16'),
      scales: read(),
      ...(bias ? { bias: read() } : {}),
      out: write(),
    },
    params: PARAMS,
    body: gemmBody(
      {
        declarations: /* wgsl */ `
fn loadA(m: u32, k: u32) -> f32 { return f32(a[p.aAt + m * p.k + k]); }
fn loadB(k: u32, n: u32) -> f32 {
  ${product.bAlongK ? 'return f32(b[p.bAt + n * p.k + k]);' : 'if (k >= p.bRows) { return 0.0; }\n  return f32(b[p.bAt + k * p.n + n]);'}
}
fn store(m: u32, n: u32, value: f32, _part: u32) { ${storeText(bias, accumulate)} }`,
        aAlongK: true,
        bAlongK: product.bAlongK,
      },
      tile,
    ),
  }));
}

/** out = x W^T + bias with f16 operands and f32 sums. */
export function linearHalf(engine: Engine, part: LinearPart): void {
  const { x, weight, bias, out, outStride, accumulate } = part;
  const [n, k] = weight.shape;
  const m = x.size / k;
  const key = `linear half${bias ? ' bias' : ''}${accumulate ? ' accumulate' : ''}`;
  const product: Product = { key, bAlongK: true, m, n, k };
  const tile = engine.tier === 'matrix' ? matrixTile(engine, product) : null;
  const unit = tile?.rows ?? 1;
  const layout = { rows: m, width: k, stride: k };
  const { values, scales } = halfRows(engine, x, layout, Math.ceil(m / unit) * unit);
  const b = halfWeight(engine, weight);
  const hasBias = bias !== null;
  const kernel = tile
    ? matrixKernel(product, tile, hasBias, accumulate)
    : tiledKernel(product, hasBias, accumulate);
  const groups = tile
    ? [Math.ceil(m / tile.rows), Math.ceil(n / tile.columns)]
    : gemmPlan(m, n, k, false).groups;
  const tensors = { a: values, b, scales, ...(bias ? { bias } : {}), out };
  const params = { m, n, k, span: k, bRows: n, outStride };
  engine.recorder.dispatch(kernel, tensors, params, [groups[0], groups[1]]);
}

/** dX = dOut W with f16 operands and f32 sums; dOut's rows are scaled, so that none underflows. */
export function linearBackwardHalf(engine: Engine, part: LinearBackwardPart): void {
  const { dOut, weight, dX, dOutStride, accumulate } = part;
  const [outFeatures, n] = weight.shape;
  const m = dX.size / n;
  const k = Math.ceil(outFeatures / 8) * 8;
  const key = `linearBackward half${accumulate ? ' accumulate' : ''}`;
  const product: Product = { key, bAlongK: false, m, n, k };
  const tile = engine.tier === 'matrix' ? matrixTile(engine, product) : null;
  const unit = tile?.rows ?? 1;
  const layout = { rows: m, width: outFeatures, stride: dOutStride };
  const { values, scales } = halfRows(engine, dOut, layout, Math.ceil(m / unit) * unit);
  const b = halfWeight(engine, weight);
  const kernel = tile
    ? matrixKernel(product, tile, false, accumulate)
    : tiledKernel(product, false, accumulate);
  const groups = tile
    ? [Math.ceil(m / tile.rows), Math.ceil(n / tile.columns)]
    : gemmPlan(m, n, k, false).groups;
  const params = { m, n, k, span: k, bRows: outFeatures, outStride: n };
  engine.recorder.dispatch(kernel, { a: values, b, scales, out: dX }, params, [
    groups[0],
    groups[1],
  ]);
}
