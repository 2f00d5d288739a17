import { checkMatmul, type MatmulArgs } from '@qlorajs/compute';
import { type KernelSpec, read, write } from '../../device/kernel.js';
import { type Engine, flatGroups } from '../../engine.js';
import { Memo } from '../../memo.js';
import { eachElement, WIDTH } from '../../wgsl/flat.js';
import { type GemmTile, gemmBody, gemmPlan, tileKey } from '../../wgsl/gemm.js';
import type { LinearPart } from '../linear/linear-f32.js';
import { FEW_ROWS, isFewRows, linearRows } from '../linear/linear-rows.js';
import { isOuter, outerProducts } from './outer.js';
import { isThinRows, thinRows } from './thin-rows.js';

type MatmulKernel = KernelSpec<'a' | 'b' | 'out', 'm' | 'n' | 'k' | 'span' | 'alpha' | 'beta'>;

const kernels = new Memo<MatmulKernel>();

function matmulKernel(
  key: string,
  { transposeA, transposeB }: MatmulArgs,
  tile: GemmTile,
  store: string,
): MatmulKernel {
  return {
    key,
    bindings: { a: read(), b: read(), out: write() },
    params: { m: 'u32', n: 'u32', k: 'u32', span: 'u32', alpha: 'f32', beta: 'f32' },
    body: gemmBody(
      {
        declarations: /* wgsl */ `
fn loadA(m: u32, k: u32) -> f32 { return a[p.aAt + ${transposeA ? 'k * p.m + m' : 'm * p.k + k'}]; }
fn loadB(k: u32, n: u32) -> f32 { return b[p.bAt + ${transposeB ? 'n * p.k + k' : 'k * p.n + n'}]; }
fn store(m: u32, n: u32, value: f32, part: u32) {
${store}
}`,
        aAlongK: !transposeA,
        bAlongK: transposeB,
      },
      tile,
    ),
  };
}

const STORE_PART = '  out[p.outAt + (part * p.m + m) * p.n + n] = value;';
const STORE = '  out[p.outAt + m * p.n + n] = p.alpha * value;';
const STORE_ADDED = `  let at = p.outAt + m * p.n + n;
  out[at] = p.alpha * value + p.beta * out[at];`;

/** Adds the parts of k in their order. */
function sumKernel(
  added: boolean,
): KernelSpec<'parts' | 'out', 'size' | 'count' | 'alpha' | 'beta'> {
  return {
    key: added ? 'sum of parts, added' : 'sum of parts',
    bindings: { parts: read(), out: write() },
    params: { size: 'u32', count: 'u32', alpha: 'f32', beta: 'f32' },
    body: eachElement(/* wgsl */ `
  var sum = 0.0;
  for (var part = 0u; part < p.count; part++) { sum += parts[p.partsAt + part * p.size + i]; }
  out[p.outAt + i] = p.alpha * sum${added ? ' + p.beta * out[p.outAt + i]' : ''};`),
  };
}

const SUM = sumKernel(false);
const SUM_ADDED = sumKernel(true);

export function matmul(engine: Engine, args: MatmulArgs): void {
  checkMatmul(args);
  const rows = fewRowsOf(args);
  if (rows && isFewRows(rows)) linearRows(engine, rows);
  else if (isThinRows(args)) thinRows(engine, args);
  else if (isOuter(args)) outerProducts(engine, args);
  else tiledMatmul(engine, args);
}

/** Few rows times a transposed factor, as decoding multiplies by an adapter: a linear layer. */
function fewRowsOf(args: MatmulArgs): LinearPart | null {
  const { a, b, out, m, n, k, transposeA, transposeB, alpha, beta } = args;
  if (transposeA || !transposeB || m > FEW_ROWS || alpha !== 1 || (beta !== 0 && beta !== 1))
    return null;
  const weight = { kind: 'dense', shape: [n, k], values: b } as const;
  return { x: a, weight, bias: null, out, outStride: n, accumulate: beta === 1 };
}

function tiledMatmul(engine: Engine, args: MatmulArgs): void {
  const { a, b, out, m, n, k, transposeA, transposeB, alpha, beta } = args;
  const { tile, groups } = gemmPlan(m, n, k, true);
  const form = `${transposeA ? 'T' : 'N'}${transposeB ? 'T' : 'N'} ${tileKey(tile)}`;
  const parts = groups[2];
  const added = beta !== 0;
  const span = Math.ceil(k / parts);
  const params = { m, n, k, span, alpha, beta };
  if (parts === 1) {
    const key = `matmul ${form}${added ? ' added' : ''}`;
    const store = added ? STORE_ADDED : STORE;
    const kernel = kernels.get(key, () => matmulKernel(key, args, tile, store));
    engine.recorder.dispatch(kernel, { a, b, out }, params, groups);
    return;
  }
  const key = `matmul ${form} parts`;
  const kernel = kernels.get(key, () => matmulKernel(key, args, tile, STORE_PART));
  const sums = engine.scratch.get('matmul parts', 'f32', parts * m * n);
  engine.recorder.dispatch(kernel, { a, b, out: sums }, params, groups);
  const size = m * n;
  engine.recorder.dispatch(
    added ? SUM_ADDED : SUM,
    { parts: sums, out },
    { size, count: parts, alpha, beta },
    flatGroups(Math.ceil(size / WIDTH)),
  );
}
