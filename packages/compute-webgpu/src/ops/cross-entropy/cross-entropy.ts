import { type CrossEntropyArgs, checkCrossEntropy } from '@qlorajs/compute';
import { type KernelSpec, read, write } from '../../device/kernel.js';
import { type Engine, flatGroups } from '../../engine.js';
import { eachRow, REDUCE, WIDTH } from '../../wgsl/flat.js';

function crossEntropyKernel(
  gradient: boolean,
): KernelSpec<'logits' | 'labels' | 'losses', 'rows' | 'width' | 'scale'> {
  return {
    key: gradient ? 'crossEntropy, gradient' : 'crossEntropy',
    bindings: { logits: gradient ? write() : read(), labels: read('i32'), losses: write() },
    params: { rows: 'u32', width: 'u32', scale: 'f32' },
    body: eachRow(
      /* wgsl */ `
  let base = p.logitsAt + row * p.width;
  let label = labels[p.labelsAt + row];
  var largestHere = -3.4028234e38;
  for (var i = local; i < p.width; i += ${WIDTH}u) { largestHere = max(largestHere, logits[base + i]); }
  let largest = reduceMax(largestHere, local);
  var sumHere = 0.0;
  for (var i = local; i < p.width; i += ${WIDTH}u) { sumHere += exp(logits[base + i] - largest); }
  let sum = reduceSum(sumHere, local);
  if (local == 0u) {
    var loss = 0.0;
    if (label >= 0) { loss = largest + log(sum) - logits[base + u32(label)]; }
    losses[p.lossesAt + row] = loss;
  }
${gradient ? GRADIENT : ''}`,
      REDUCE,
    ),
  };
}

/** The barrier keeps the label's logit until the loss has been taken from it. */
const GRADIENT = /* wgsl */ `
  storageBarrier();
  for (var i = local; i < p.width; i += ${WIDTH}u) {
    let hot = select(0.0, 1.0, i32(i) == label);
    let value = (exp(logits[base + i] - largest) / sum - hot) * p.scale;
    logits[base + i] = select(value, 0.0, label < 0);
  }`;

const LOSS = crossEntropyKernel(false);
const LOSS_AND_GRADIENT = crossEntropyKernel(true);

export function crossEntropy(engine: Engine, args: CrossEntropyArgs): void {
  checkCrossEntropy(args);
  const { logits, labels, losses, gradientScale } = args;
  const rows = labels.size;
  if (rows === 0) return;
  const params = { rows, width: logits.size / rows, scale: gradientScale ?? 0 };
  const kernel = gradientScale === null ? LOSS : LOSS_AND_GRADIENT;
  engine.recorder.dispatch(kernel, { logits, labels, losses }, params, flatGroups(rows));
}
