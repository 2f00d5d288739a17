import type { Tensor } from '@qlorajs/compute';
import type { AdapterViews } from './adapter-view.js';
import { type Pass, rowsOf } from './pass.js';

function chosenRows({ backend, workspace, config }: Pass, h: Tensor, rows: Int32Array): Tensor {
  const width = config.hiddenSize;
  const out = workspace.get('logits.hidden', [rows.length, width]);
  const ids = workspace.integers('logits.rows', rows);
  backend.ops.gatherRows({ source: h, ids, out, width });
  return out;
}

/**
 * Final norm and head of the given rows of the last hidden state, each with the head of its adapter.
 * @param h `[n, C]`
 * @param rows `m` of them, in ascending order
 * @returns `[m, V]` on the device
 */
export function headLogits(pass: Pass, h: Tensor, rows: Int32Array, views: AdapterViews): Tensor {
  const { backend, workspace, config } = pass;
  const width = config.hiddenSize;
  const shape = [rows.length, width];
  const out = workspace.get('logits.normed', shape);
  const mean = workspace.get('logits.mean', [rows.length]);
  const rstd = workspace.get('logits.rstd', [rows.length]);
  const x = rows.length === rowsOf(pass) ? h : chosenRows(pass, h, rows);
  const epsilon = config.layerNormEpsilon;
  backend.ops.layerNorm({ x, ...pass.weights.finalNorm, epsilon, out, mean, rstd });
  const logits = workspace.get('logits.out', [rows.length, config.vocabSize]);
  const { weight } = pass.weights.head;
  for (const { adapter, start, count } of pass.runs) {
    const first = rows.findIndex((row) => row >= start);
    const some = rows.filter((row) => row >= start && row < start + count).length;
    if (some === 0) continue;
    if (pass.runs.length > 1) views.show(adapter);
    backend.ops.linear({
      x: backend.view(out, first * width, [some, width]),
      weight,
      bias: views.headBias(adapter),
      out: backend.view(logits, first * config.vocabSize, [some, config.vocabSize]),
      accumulate: false,
    });
  }
  return logits;
}
