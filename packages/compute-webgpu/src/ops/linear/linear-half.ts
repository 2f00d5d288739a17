import type { Tensor } from '@qlorajs/compute';
import { type KernelSpec, read, write } from '../../device/kernel.js';
import { type Engine, flatGroups } from '../../engine.js';
import { Memo } from '../../memo.js';
import { eachElement, WIDTH } from '../../wgsl/flat.js';
import { gemmBody, gemmPlan, tileKey } from '../../wgsl/gemm.js';
import { MATRIX_DIRECTIVES, matrixGemmBody } from '../../wgsl/matrix-gemm.js';
import { adapterTerm } from './adapter-term.js';
import { type HalfRows, halfRows, halfWeight } from './half-operands.js';
import type { LinearBackwardPart, LinearPart } from './linear-f32.js';
import {
  type LowRank,
  lowRankBindings,
  lowRankColumn,
  lowRankKey,
  lowRankTensors,
  lowRankTerm,
} from './low-rank.js';
import { type MatrixPlan, matrixPlan } from './matrix-plan.js';

/** out (+)= scales * (A B) + bias + low rank, with A `[m, k]` and B `[n, k]` or `[k, n]` in f16. */
interface Product {
  readonly a: HalfRows;
  readonly b: Tensor;
  readonly bAlongK: boolean;
  /** Rows that B has: less than k where A was padded. */
  readonly bRows: number;
  readonly bias: Tensor | null;
  readonly out: Tensor;
  readonly outStride: number;
  readonly accumulate: boolean;
  readonly lowRank: LowRank | null;
  readonly m: number;
  readonly n: number;
  readonly k: number;
}

const kernels = new Memo<KernelSpec>();
const SIZES = {
  m: 'u32',
  n: 'u32',
  k: 'u32',
  span: 'u32',
  bRows: 'u32',
  outStride: 'u32',
  lowScale: 'f32',
} as const;

/** Columns that a product's kernel writes at a time. */
function widthOf({ n, out, outStride, bias }: Product): 1 | 4 {
  return [n, outStride, out.offset, bias?.offset ?? 0].every((each) => each % 4 === 0) ? 4 : 1;
}

/** Text that gives `value` at row `m` and columns from `n` on to the output, and what it fetches before. */
function storeTexts({ bias, accumulate }: Product, width: 1 | 4) {
  const at = `out[(p.outAt + m * p.outStride + n) / ${width}u]`;
  const added = bias ? ` + bias[(p.biasAt + n) / ${width}u]` : '';
  return {
    fetch: accumulate ? `old = ${at};` : '',
    store: `${at} = value * scales[p.scalesAt + m]${added}${accumulate ? ' + old' : ''};`,
  };
}

/** Text that gives `value` at row `m` and column `n` to the output, after `columnText` of the column. */
function storeText({ bias, accumulate, lowRank }: Product): string {
  return /* wgsl */ `{
      let at = p.outAt + m * p.outStride + n;
      out[at] = value * scales[p.scalesAt + m]${bias ? ' + bias[p.biasAt + n]' : ''}${lowRankTerm(lowRank)}${accumulate ? ' + out[at]' : ''};
    }`;
}

const columnText = ({ lowRank, bAlongK }: Product) => lowRankColumn(lowRank, bAlongK);

/** Names what of a product is part of a kernel's text. */
function variant({ bAlongK, bias, accumulate, lowRank }: Product): string {
  return `${bAlongK ? 'NT' : 'NN'}${bias ? ' bias' : ''}${lowRankKey(lowRank)}${accumulate ? ' accumulate' : ''}`;
}

function outputBindings(
  { bias, lowRank, bAlongK }: Product,
  width: 1 | 4 = 1,
): KernelSpec['bindings'] {
  const type = width === 4 ? 'vec4f' : 'f32';
  return {
    scales: read(),
    ...(bias ? { bias: read(type) } : {}),
    ...lowRankBindings(lowRank, bAlongK),
    out: write(type),
  };
}

function outputTensors({ a, bias, lowRank, out }: Product): Record<string, Tensor> {
  return { scales: a.scales, ...(bias ? { bias } : {}), ...lowRankTensors(lowRank), out };
}

function sizes({ m, n, k, bRows, outStride, lowRank }: Product, span: number) {
  return { m, n, k, span, bRows, outStride, lowScale: lowRank?.scale ?? 0 };
}

/** The product on subgroup matrices, in parts of k where there are few tiles. */
function matrixProduct(engine: Engine, product: Product, plan: MatrixPlan): void {
  const { a, b, bAlongK, m, n, k, lowRank } = product;
  const { tile, groups, span } = plan;
  const whole = n % tile.columns === 0 && k % tile.depth === 0;
  const split = groups[2] > 1;
  const form = split ? `${bAlongK ? 'NT' : 'NN'} parts` : variant(product);
  const width = split ? (n % 4 === 0 ? 4 : 1) : widthOf(product);
  const key = `matrix product ${form} ${Object.values(tile).join('x')}${whole ? '' : ' ragged'}${width === 4 ? '' : ' narrow'}`;
  const kernel = kernels.get(key, () => ({
    key,
    directives: MATRIX_DIRECTIVES,
    bindings: {
      a: read('vec4u'),
      b: read('vec4u'),
      ...(split ? { out: write(width === 4 ? 'vec4f' : 'f32') } : outputBindings(product, width)),
    },
    params: SIZES,
    body: matrixGemmBody({
      ...{ tile, bAlongK, whole, width },
      more: split || !lowRank ? null : adapterTerm(tile, lowRank.rank, bAlongK),
      ...(split
        ? { fetch: '', store: `out[(p.outAt + (part * p.m + m) * p.n + n) / ${width}u] = value;` }
        : storeTexts(product, width)),
    }),
  }));
  const params = sizes(product, span);
  const operands = { a: a.values, b };
  if (!split) {
    engine.recorder.dispatch(kernel, { ...operands, ...outputTensors(product) }, params, groups);
    return;
  }
  const parts = engine.scratch.get('product parts', 'f32', groups[2] * m * n);
  engine.recorder.dispatch(kernel, { ...operands, out: parts }, params, groups);
  sumParts(engine, product, parts, groups[2]);
}

/** Adds the parts in their order and gives the sums to the output. */
function sumParts(engine: Engine, product: Product, parts: Tensor, count: number): void {
  const key = `sum of product parts ${variant(product)}`;
  const kernel = kernels.get(key, () => ({
    key,
    bindings: { parts: read(), ...outputBindings(product) },
    params: { ...SIZES, size: 'u32', count: 'u32' },
    body: eachElement(/* wgsl */ `
  var value = 0.0;
  for (var part = 0u; part < p.count; part++) { value += parts[p.partsAt + part * p.size + i]; }
  let m = i / p.n;
  let n = i % p.n;
  ${columnText(product)}
  ${storeText(product)}`),
  }));
  const size = product.m * product.n;
  engine.recorder.dispatch(
    kernel,
    { parts, ...outputTensors(product) },
    { ...sizes(product, 0), size, count },
    flatGroups(Math.ceil(size / WIDTH)),
  );
}

/** The product on a GPU without subgroup matrices: f16 operands, f32 arithmetic. */
function tiledProduct(engine: Engine, product: Product): void {
  const { a, b, bAlongK, m, n, k } = product;
  const { tile, groups } = gemmPlan(m, n, k, false);
  const key = `tiled product ${variant(product)} ${tileKey(tile)}`;
  const kernel = kernels.get(key, () => ({
    key,
    directives: 'enable f16;',
    bindings: { a: read('f16'), b: read('f16'), ...outputBindings(product) },
    params: SIZES,
    body: gemmBody(
      {
        declarations: /* wgsl */ `
fn loadA(m: u32, k: u32) -> f32 { return f32(a[p.aAt + m * p.k + k]); }
fn loadB(k: u32, n: u32) -> f32 {
  ${bAlongK ? '' : 'if (k >= p.bRows) { return 0.0; }'}
  return f32(b[p.bAt + ${bAlongK ? 'n * p.k + k' : 'k * p.n + n'}]);
}
fn store(m: u32, n: u32, value: f32, _part: u32) {
  ${columnText(product)}
  ${storeText(product)}
}`,
        aAlongK: true,
        bAlongK,
      },
      tile,
    ),
  }));
  const tensors = { a: a.values, b, ...outputTensors(product) };
  engine.recorder.dispatch(kernel, tensors, sizes(product, k), groups);
}

/** out = x W^T + bias with f16 operands and f32 sums. */
export function linearHalf(engine: Engine, part: LinearPart, lowRank: LowRank | null): void {
  const { x, weight, bias, out, outStride, accumulate } = part;
  const [n, k] = weight.shape;
  const m = x.size / k;
  const plan = engine.tier === 'matrix' ? matrixPlan(engine, { m, n, k, bAlongK: true }) : null;
  const a = halfRows(engine, x, { rows: m, width: k, stride: k }, plan?.paddedRows ?? m);
  const b = halfWeight(engine, weight);
  const output = { bias, out, outStride, accumulate, lowRank };
  const product: Product = { a, b, bAlongK: true, bRows: n, ...output, m, n, k };
  if (plan) matrixProduct(engine, product, plan);
  else tiledProduct(engine, product);
}

/** dX = dOut W with f16 operands and f32 sums; dOut's rows are scaled, so that none underflows. */
export function linearBackwardHalf(
  engine: Engine,
  part: LinearBackwardPart,
  lowRank: LowRank | null,
): void {
  const { dOut, weight, dX, dOutStride, accumulate } = part;
  const [width, n] = weight.shape;
  const m = dX.size / n;
  const k = Math.ceil(width / 8) * 8;
  const plan = engine.tier === 'matrix' ? matrixPlan(engine, { m, n, k, bAlongK: false }) : null;
  const a = halfRows(engine, dOut, { rows: m, width, stride: dOutStride }, plan?.paddedRows ?? m);
  const b = halfWeight(engine, weight);
  const output = { bias: null, out: dX, outStride: n, accumulate, lowRank };
  const product: Product = { a, b, bAlongK: false, bRows: width, ...output, m, n, k };
  if (plan) matrixProduct(engine, product, plan);
  else tiledProduct(engine, product);
}
