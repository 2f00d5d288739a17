import type { AttentionBackwardArgs } from '@qlorajs/compute';
import { type KernelSpec, read, write } from '../../device/kernel.js';
import { type Engine, flatGroups } from '../../engine.js';
import { Memo } from '../../memo.js';
import { eachRow, REDUCE, WIDTH } from '../../wgsl/flat.js';
import { addGradientHalves, attentionHalves } from './halves.js';
import { keyGradientKernel } from './matrix-key-gradient.js';
import { queryGradientKernel } from './matrix-query-gradient.js';
import { OWNED } from './matrix-tile.js';
import { type AttentionShape, maskParams, maskTensors, shapeKey } from './tile.js';

const kernels = new Memo<KernelSpec>();

/** Threads that share a head's dot product. */
const SHARE = 8;

/** delta = rowsum(dOut * out) by head, and the largest |dOut| of every row. */
const DELTA: KernelSpec<
  'dOut' | 'out' | 'delta' | 'maxima',
  'rows' | 'heads' | 'headDim' | 'queryLength'
> = {
  key: 'attention delta and maxima',
  bindings: { dOut: read(), out: read(), delta: write(), maxima: write() },
  params: { rows: 'u32', heads: 'u32', headDim: 'u32', queryLength: 'u32' },
  body: eachRow(
    /* wgsl */ `
  var largest = 0.0;
  for (var first = 0u; first < p.heads; first += ${WIDTH / SHARE}u) {
    let head = first + local / ${SHARE}u;
    var sum = 0.0;
    if (head < p.heads) {
      let base = (row * p.heads + head) * p.headDim;
      for (var d = local % ${SHARE}u; d < p.headDim; d += ${SHARE}u) {
        let g = dOut[p.dOutAt + base + d];
        largest = max(largest, abs(g));
        sum += g * out[p.outAt + base + d];
      }
    }
    partials[local] = sum;
    workgroupBarrier();
    if (head < p.heads && local % ${SHARE}u == 0u) {
      for (var i = 1u; i < ${SHARE}u; i++) { sum += partials[local + i]; }
      let to = ((row / p.queryLength) * p.heads + head) * p.queryLength + row % p.queryLength;
      delta[p.deltaAt + to] = sum;
    }
    workgroupBarrier();
  }
  let all = reduceMax(largest, local);
  if (local == 0u) { maxima[p.maximaAt + row] = all; }`,
    REDUCE,
  ),
};

export function attentionBackwardMatrix(engine: Engine, args: AttentionBackwardArgs): void {
  const { dOut, out, logSumExp, delta, dQ, dK, dV } = args;
  const { headDim, batch, heads, queryLength, keyLength } = args;
  const { recorder } = engine;
  const rows = batch * queryLength;
  const maxima = engine.scratch.get('attention maxima', 'f32', rows);
  const sizes = { rows, heads, headDim, queryLength };
  recorder.dispatch(DELTA, { dOut, out, delta, maxima }, sizes, flatGroups(rows));
  const factors = engine.scratch.get('attention factors', 'f32', 2);
  const converted = attentionHalves(engine, args, args);
  addGradientHalves(engine, converted, { dOut, maxima, factors }, args);
  const { halves, at, perQuery, perKey } = converted;
  const shape: AttentionShape = {
    headDim,
    tile: OWNED,
    hasStart: args.queryStart !== null,
    hasFirst: args.firstKeys !== null,
  };
  const inputs = { halves, logSumExp, delta, factors, ...maskTensors(args) };
  const parts = { qPart: at.q, kPart: at.k, vPart: at.v, gPart: at.dOut };
  const params = { ...maskParams(args), perQuery, perKey, ...parts };
  const tiles = (length: number) => [Math.ceil(length / OWNED), heads, batch] as const;
  const keyQ = `attention matrix dQ ${shapeKey(shape)}`;
  const kernelQ = kernels.get(keyQ, () => queryGradientKernel(keyQ, shape));
  recorder.dispatch(kernelQ, { ...inputs, dQ }, params, tiles(queryLength));
  const keyKV = `attention matrix dKV ${shapeKey(shape)}`;
  const kernelKV = kernels.get(keyKV, () => keyGradientKernel(keyKV, shape));
  recorder.dispatch(kernelKV, { ...inputs, dK, dV }, params, tiles(keyLength));
}
