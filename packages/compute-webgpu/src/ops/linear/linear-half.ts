import type { Tensor } from '@qlorajs/compute';
import { type KernelSpec, read, write } from '../../device/kernel.js';
import { type Engine, flatGroups } from '../../engine.js';
import { Memo } from '../../memo.js';
import { eachElement, WIDTH } from '../../wgsl/flat.js';
import { gemmBody, gemmPlan, tileKey } from '../../wgsl/gemm.js';
import { MATRIX_DIRECTIVES, matrixGemmBody } from '../../wgsl/matrix-gemm.js';
import { adapterTerm } from './adapter-term.js';
import { type HalfRows, halfRows, joinRows } from './half-operands.js';
import { halfWeights } from './half-weights.js';
import type { LinearBackwardPart, LinearPart } from './linear-f32.js';
import {
  type LowRank,
  lowRankBindings,
  lowRankColumn,
  lowRankKey,
  lowRankTensors,
  lowRankTerm,
  suffixOf,
} from './low-rank.js';
import { type MatrixPlan, matrixPlan } from './matrix-plan.js';

/** out (+)= scales * (A B) + bias + low rank, with A `[m, k]` and B `[n, k]` or `[k, n]` in f16. */
interface Product {
  readonly a: HalfRows;
  readonly b: Tensor;
  readonly bAlongK: boolean;
  /** Rows that B has: less than k where A was padded. */
  readonly bRows: number;
  /** None, or those of all products that are computed together, of which `item` is this one's. */
  readonly biases: readonly Tensor[];
  readonly item: number;
  readonly out: Tensor;
  readonly outStride: number;
  readonly accumulate: boolean;
  readonly lowRanks: readonly LowRank[];
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
  item: 'u32',
  lowScale: 'f32',
  lowScale1: 'f32',
  lowScale2: 'f32',
} as const;

/** Columns that a product's kernel writes at a time. */
function widthOf({ n, out, outStride, biases }: Product): 1 | 4 {
  const offsets = [out, ...biases].map(({ offset }) => offset);
  return [n, outStride, ...offsets].every((each) => each % 4 === 0) ? 4 : 1;
}

/** Text that takes the bias at column `n` as `added`. */
function biasText({ biases }: Product, width: 1 | 4): string {
  const at = (i: number) => `bias${suffixOf(i)}[(p.bias${suffixOf(i)}At + n) / ${width}u]`;
  return biases
    .map((_, i) =>
      i === 0 ? `var added = ${at(0)};` : `if (p.item == ${i}u) { added = ${at(i)}; }`,
    )
    .join('\n');
}

/** Text that gives `value` at row `m` and columns from `n` on to the output, and what it fetches before. */
function storeTexts(product: Product, width: 1 | 4) {
  const { biases, accumulate } = product;
  const at = `out[(p.outAt + m * p.outStride + n) / ${width}u]`;
  const added = biases.length > 0 ? ' + added' : '';
  return {
    fetch: accumulate ? `old = ${at};` : '',
    store: `${biasText(product, width)}
      ${at} = value * scales[p.scalesAt + m]${added}${accumulate ? ' + old' : ''};`,
  };
}

/** Text that gives `value` at row `m` and column `n` to the output, after `columnText` of the column. */
function storeText(product: Product): string {
  const { biases, accumulate, lowRanks } = product;
  const shares = lowRanks.map((each, i) => lowRankTerm(each, suffixOf(i))).join('');
  return /* wgsl */ `{
      let at = p.outAt + m * p.outStride + n;
      ${biasText(product, 1)}
      out[at] = value * scales[p.scalesAt + m]${biases.length > 0 ? ' + added' : ''}${shares}${accumulate ? ' + out[at]' : ''};
    }`;
}

const columnText = ({ lowRanks, bAlongK }: Product) =>
  lowRanks.map((each, i) => lowRankColumn(each, bAlongK, suffixOf(i))).join('\n');

/** Names what of a product is part of a kernel's text. */
function variant({ bAlongK, biases, accumulate, lowRanks }: Product): string {
  const bias = biases.length > 0 ? ` bias${biases.length > 1 ? ` of ${biases.length}` : ''}` : '';
  return `${bAlongK ? 'NT' : 'NN'}${bias}${lowRanks.map(lowRankKey).join('')}${accumulate ? ' accumulate' : ''}`;
}

function outputBindings(
  { biases, lowRanks, bAlongK }: Product,
  width: 1 | 4 = 1,
): KernelSpec['bindings'] {
  const type = width === 4 ? 'vec4f' : 'f32';
  return {
    scales: read(),
    ...Object.fromEntries(biases.map((_, i) => [`bias${suffixOf(i)}`, read(type)])),
    ...Object.assign({}, ...lowRanks.map((each, i) => lowRankBindings(each, bAlongK, suffixOf(i)))),
    out: write(type),
  };
}

function outputTensors({ a, biases, lowRanks, out }: Product): Record<string, Tensor> {
  return {
    scales: a.scales,
    ...Object.fromEntries(biases.map((bias, i) => [`bias${suffixOf(i)}`, bias])),
    ...Object.assign({}, ...lowRanks.map((each, i) => lowRankTensors(each, suffixOf(i)))),
    out,
  };
}

function sizes({ m, n, k, bRows, outStride, item, lowRanks }: Product, span: number) {
  const [lowScale = 0, lowScale1 = 0, lowScale2 = 0] = lowRanks.map(({ scale }) => scale);
  return { m, n, k, span, bRows, outStride, item, lowScale, lowScale1, lowScale2 };
}

/** The product on subgroup matrices, in parts of k where there are few tiles. */
function matrixProduct(engine: Engine, product: Product, plan: MatrixPlan): void {
  const { a, b, bAlongK, m, n, k, lowRanks } = product;
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
    merges: !split,
    body: matrixGemmBody({
      ...{ tile, bAlongK, whole, width, inParts: split },
      more: split
        ? []
        : lowRanks.map(({ rank }, i) => adapterTerm(tile, rank, bAlongK, suffixOf(i))),
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

/** A layer's product with its adapter's share of it. */
export interface Adapted<Part> {
  readonly part: Part;
  readonly lowRank: LowRank | null;
}

function compute(engine: Engine, product: Product, plan: MatrixPlan | null): void {
  if (plan) matrixProduct(engine, product, plan);
  else tiledProduct(engine, product);
}

const sharesOf = <Part>(layers: readonly Adapted<Part>[]): LowRank[] =>
  layers.flatMap(({ lowRank }) => lowRank ?? []);

/**
 * out = x W^T + bias with f16 operands and f32 sums.
 * @param layers one, or where there are subgroup matrices several that share x and are alike
 */
export function linearHalf(engine: Engine, layers: readonly Adapted<LinearPart>[]): void {
  const [{ part: first }] = layers;
  const { x } = first;
  const [n, k] = first.weight.shape;
  const m = x.size / k;
  const form = { m, n, k, bAlongK: true, copies: layers.length };
  const plan = engine.tier === 'matrix' ? matrixPlan(engine, form) : null;
  const a = halfRows(engine, x, { rows: m, width: k, stride: k }, plan?.paddedRows ?? m);
  const weights = halfWeights(
    engine,
    layers.map(({ part }) => part.weight),
  );
  const biases = layers.flatMap(({ part }) => part.bias ?? []);
  layers.forEach(({ part: { out, outStride, accumulate }, lowRank }, item) => {
    const output = { biases, item, out, outStride, accumulate, lowRanks: lowRank ? [lowRank] : [] };
    const operands = { a, b: weights[item], bAlongK: true, bRows: n };
    compute(engine, { ...operands, ...output, m, n, k }, plan);
  });
}

/**
 * dX = dOut W with f16 operands and f32 sums; dOut's rows are scaled, so that none underflows.
 * @param layers one, or where there are subgroup matrices several of NF4 that are alike, whose sum is dX
 */
export function linearBackwardHalf(
  engine: Engine,
  layers: readonly Adapted<LinearBackwardPart>[],
): void {
  const [{ part: first }] = layers;
  const { weight, dX, dOutStride, accumulate } = first;
  const [width, n] = weight.shape;
  const m = dX.size / n;
  const bRows = layers.length * width;
  const k = Math.ceil(bRows / 8) * 8;
  const form = { m, n, k, bAlongK: false, copies: 1 };
  const plan = engine.tier === 'matrix' ? matrixPlan(engine, form) : null;
  const rows = plan?.paddedRows ?? m;
  const gradients = layers.map(({ part }) => part.dOut);
  const a =
    layers.length > 1
      ? joinRows(engine, gradients, { rows: m, width }, rows)
      : halfRows(engine, gradients[0], { rows: m, width, stride: dOutStride }, rows);
  // One after the other: the rows of one matrix.
  const [b] = halfWeights(
    engine,
    layers.map(({ part }) => part.weight),
  );
  const weights = { ...b, size: layers.length * b.size };
  const output = { biases: [], item: 0, out: dX, outStride: n, accumulate };
  const operands = { a, b: weights, bAlongK: false, bRows, lowRanks: sharesOf(layers) };
  compute(engine, { ...operands, ...output, m, n, k }, plan);
}
