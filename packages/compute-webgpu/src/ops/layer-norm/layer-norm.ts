import {
  checkLayerNorm,
  checkLayerNormBackward,
  type LayerNormArgs,
  type LayerNormBackwardArgs,
} from '@qlorajs/compute';
import { type KernelSpec, read, write } from '../../device/kernel.js';
import { type Engine, flatGroups } from '../../engine.js';
import { Memo } from '../../memo.js';
import { eachRow, REDUCE, WIDTH } from '../../wgsl/flat.js';
import { each, groupsOf, HALF_BINDINGS, halfRow, wide } from '../../wgsl/half-row.js';
import { withHalfRows } from '../linear/half-operands.js';

const LAYER_NORM: KernelSpec<
  'x' | 'weight' | 'bias' | 'out' | 'mean' | 'rstd',
  'rows' | 'width' | 'epsilon'
> = {
  key: 'layerNorm',
  bindings: {
    x: read(),
    weight: read(),
    bias: read(),
    out: write(),
    mean: write(),
    rstd: write(),
  },
  params: { rows: 'u32', width: 'u32', epsilon: 'f32' },
  body: eachRow(
    /* wgsl */ `
  let base = p.xAt + row * p.width;
  let to = p.outAt + row * p.width;
  var sum = 0.0;
  for (var c = local; c < p.width; c += ${WIDTH}u) { sum += x[base + c]; }
  let center = reduceSum(sum, local) / f32(p.width);
  var squares = 0.0;
  for (var c = local; c < p.width; c += ${WIDTH}u) {
    let d = x[base + c] - center;
    squares += d * d;
  }
  let factor = 1.0 / sqrt(reduceSum(squares, local) / f32(p.width) + p.epsilon);
  for (var c = local; c < p.width; c += ${WIDTH}u) {
    out[to + c] = (x[base + c] - center) * factor * weight[p.weightAt + c] + bias[p.biasAt + c];
  }
  if (local == 0u) {
    mean[p.meanAt + row] = center;
    rstd[p.rstdAt + row] = factor;
  }`,
    REDUCE,
  ),
};

function backwardKernel(
  accumulate: boolean,
): KernelSpec<'dOut' | 'x' | 'weight' | 'mean' | 'rstd' | 'dX', 'rows' | 'width'> {
  return {
    key: accumulate ? 'layerNormBackward, accumulated' : 'layerNormBackward',
    bindings: {
      dOut: read(),
      x: read(),
      weight: read(),
      mean: read(),
      rstd: read(),
      dX: write(),
    },
    params: { rows: 'u32', width: 'u32' },
    body: eachRow(
      /* wgsl */ `
  let start = row * p.width;
  let center = mean[p.meanAt + row];
  let factor = rstd[p.rstdAt + row];
  var sum = 0.0;
  var sumNormalized = 0.0;
  for (var c = local; c < p.width; c += ${WIDTH}u) {
    let g = dOut[p.dOutAt + start + c] * weight[p.weightAt + c];
    sum += g;
    sumNormalized += g * (x[p.xAt + start + c] - center) * factor;
  }
  let meanG = reduceSum(sum, local) / f32(p.width);
  let meanNormalized = reduceSum(sumNormalized, local) / f32(p.width);
  for (var c = local; c < p.width; c += ${WIDTH}u) {
    let g = dOut[p.dOutAt + start + c] * weight[p.weightAt + c];
    let normalized = (x[p.xAt + start + c] - center) * factor;
    let value = factor * (g - meanG - normalized * meanNormalized);
    dX[p.dXAt + start + c] = ${accumulate ? 'dX[p.dXAt + start + c] + value' : 'value'};
  }`,
      REDUCE,
    ),
  };
}

const BACKWARD = backwardKernel(false);
const BACKWARD_ACCUMULATED = backwardKernel(true);

const kernels = new Memo<KernelSpec>();

/** The operation over rows that a product reads next, in f16 as well. */
function rowKernel(width: number): KernelSpec {
  const key = `layerNorm ${width}, halves`;
  const groups = groupsOf(width);
  return kernels.get(key, () => ({
    key,
    directives: 'enable f16;',
    bindings: {
      x: wide,
      weight: wide,
      bias: wide,
      out: write('vec4f'),
      mean: write(),
      rstd: write(),
      ...HALF_BINDINGS,
    },
    params: { rows: 'u32', epsilon: 'f32' },
    body: halfRow(
      width,
      /* wgsl */ `
  ${each(groups, (i) => `var x${i} = vec4f(); if (in${i}) { x${i} = x[(p.xAt + row * ${width}u + c${i}) / 4u]; }`)}
  var sums = vec4f();
  ${each(groups, (i) => `sums += x${i};`)}
  let center = reduceSum(sums.x + sums.y + sums.z + sums.w, local) / ${width}.0;
  var squares = vec4f();
  ${each(groups, (i) => `{ let d = select(vec4f(), x${i} - center, in${i}); squares += d * d; }`)}
  let spread = reduceSum(squares.x + squares.y + squares.z + squares.w, local) / ${width}.0;
  let slope = 1.0 / sqrt(spread + p.epsilon);
  ${each(
    groups,
    (i) => `var value${i} = vec4f();
  if (in${i}) {
    value${i} = (x${i} - center) * slope * weight[(p.weightAt + c${i}) / 4u] + bias[(p.biasAt + c${i}) / 4u];
  }`,
  )}
  if (local == 0u) {
    mean[p.meanAt + row] = center;
    rstd[p.rstdAt + row] = slope;
  }`,
      '',
    ),
  }));
}

export function layerNorm(engine: Engine, args: LayerNormArgs): void {
  checkLayerNorm(args);
  const { x, weight, bias, out, mean, rstd, epsilon } = args;
  const width = weight.size;
  const rows = x.size / width;
  const tensors = { x, weight, bias, out, mean, rstd };
  const shaped = { ...out, shape: [rows, width] };
  const made = withHalfRows(engine, shaped, [x, weight, bias], (halves) => {
    const params = { rows, epsilon };
    engine.recorder.dispatch(rowKernel(width), { ...tensors, ...halves }, params, flatGroups(rows));
  });
  if (made) return;
  engine.recorder.dispatch(LAYER_NORM, tensors, { rows, width, epsilon }, flatGroups(rows));
}

export function layerNormBackward(engine: Engine, args: LayerNormBackwardArgs): void {
  checkLayerNormBackward(args);
  const { dOut, x, weight, mean, rstd, dX, accumulate } = args;
  const width = weight.size;
  const rows = x.size / width;
  const kernel = accumulate ? BACKWARD_ACCUMULATED : BACKWARD;
  const tensors = { dOut, x, weight, mean, rstd, dX };
  engine.recorder.dispatch(kernel, tensors, { rows, width }, flatGroups(rows));
}
