import type { Readback, Tensor } from '@qlorajs/compute';
import type { Pass } from './pass.js';
import { FINAL_NORM, headParametersBackward, normParametersBackward } from './saved-modules.js';

/** Bytes of logits that exist at one time: a GPU wants many rows in a product, 256 of Phi-2's. */
const LOGIT_BYTES = 2 ** 26;
const MIN_ROWS = 64;

/** Rows of logits that exist at one time. */
function chunkRows(vocabSize: number): number {
  const rows = 2 ** Math.floor(Math.log2(LOGIT_BYTES / (4 * vocabSize)));
  return Math.max(MIN_ROWS, rows);
}

/** The trained rows of the last hidden state, normalized. */
interface NormedRows {
  /** `[m, C]` */
  readonly hidden: Tensor;
  readonly normed: Tensor;
  readonly mean: Tensor;
  readonly rstd: Tensor;
}

function normTrainedRows(pass: Pass, h: Tensor, ids: Tensor): NormedRows {
  const { backend, config, workspace, weights } = pass;
  const width = config.hiddenSize;
  const get = (name: string, shape: readonly number[]) => workspace.get(`head.${name}`, shape);
  const [hidden, normed] = [get('hidden', [ids.size, width]), get('normed', [ids.size, width])];
  const [mean, rstd] = [get('mean', [ids.size]), get('rstd', [ids.size])];
  backend.ops.gatherRows({ source: h, ids, out: hidden, width });
  const epsilon = config.layerNormEpsilon;
  backend.ops.layerNorm({ x: hidden, ...weights.finalNorm, epsilon, out: normed, mean, rstd });
  return { hidden, normed, mean, rstd };
}

/** dRows[j] += sum over the chunk of dLogits[:, ids[j]] * normed: the gradient of trained head rows. */
function headRowsBackward(pass: Pass, dLogits: Tensor, normed: Tensor, rows: number): void {
  const trained = pass.adapter?.tokens.get('lm_head');
  if (!trained) return;
  const { backend, config, workspace } = pass;
  const count = trained.ids.length;
  // A column of dLogits is gathered as rows of one element.
  const at = Int32Array.from(
    { length: rows * count },
    (_, i) => Math.floor(i / count) * config.vocabSize + trained.ids[i % count],
  );
  const columns = workspace.get('head.columns', [rows, count]);
  const ids = workspace.integers('head.columnIds', at);
  backend.ops.gatherRows({ source: dLogits, ids, out: columns, width: 1 });
  backend.ops.matmul({
    a: columns,
    b: normed,
    out: trained.rows.grad,
    m: count,
    n: config.hiddenSize,
    k: rows,
    transposeA: true,
    transposeB: false,
    alpha: 1,
    beta: 1,
  });
}

/** What {@link lossHead} computes beside the losses, and where to. */
export interface LossGradient {
  /** Multiplies every gradient: 1 / the trained tokens of the whole optimizer step. */
  readonly scale: number;
  /** f32 `[n, C]`: overwritten with the gradient of the last hidden state. */
  readonly dh: Tensor;
}

/**
 * Cross-entropy of the trained rows alone, head and softmax in chunks of rows: full logits never
 * exist, and a prompt's tokens cost nothing.
 * @param h f32 `[n, C]`: the last block's output
 * @param trainedRows the rows of h that carry a loss
 * @param labels what each of them must predict
 * @param readback holds the losses until it is flushed
 * @returns the sum of the losses in nats, once they are read
 */
export function lossHead(
  pass: Pass,
  h: Tensor,
  trainedRows: Int32Array,
  labels: Int32Array,
  gradient: LossGradient | null,
  readback: Readback,
): Promise<number> {
  const { backend, config, workspace, weights } = pass;
  const { ops } = backend;
  const width = config.hiddenSize;
  const total = trainedRows.length;
  if (gradient) ops.fill({ out: gradient.dh, value: 0 });
  if (total === 0) return Promise.resolve(0);
  const ids = workspace.integers('head.rows', trainedRows);
  const targets = workspace.integers('head.labels', labels);
  const { hidden, normed, mean, rstd } = normTrainedRows(pass, h, ids);
  const { tensor: losses, values } = readback.reserve(total);
  const dNormed = workspace.get('head.dNormed', [total, width]);
  const most = chunkRows(config.vocabSize);
  for (let start = 0; start < total; start += most) {
    const rows = Math.min(most, total - start);
    const chunk = (tensor: Tensor) => backend.view(tensor, start * width, [rows, width]);
    const logits = workspace.get('head.logits', [rows, config.vocabSize]);
    const x = chunk(normed);
    ops.linear({
      x,
      weight: weights.head.weight,
      bias: pass.headBias,
      out: logits,
      accumulate: false,
    });
    ops.crossEntropy({
      logits,
      labels: backend.view(targets, start, [rows]),
      losses: backend.view(losses, start, [rows]),
      gradientScale: gradient?.scale ?? null,
    });
    if (!gradient) continue;
    const { weight } = weights.head;
    ops.linearBackward({ dOut: logits, weight, dX: chunk(dNormed), accumulate: false });
    headRowsBackward(pass, logits, x, rows);
    headParametersBackward(pass, { dLogits: logits, x, rows });
  }
  if (gradient) {
    normParametersBackward(pass, FINAL_NORM, { x: hidden, dOut: dNormed });
    const { weight } = weights.finalNorm;
    const norm = { dOut: dNormed, x: hidden, weight, mean, rstd };
    const dHidden = workspace.get('head.dHidden', [total, width]);
    ops.layerNormBackward({ ...norm, dX: dHidden, accumulate: false });
    ops.scatterRows({ source: dHidden, ids, out: gradient.dh, width });
  }
  const lossSum = values.then((each) => each.reduce((sum, value) => sum + value, 0));
  lossSum.catch(() => {}); // told where it is awaited, unless the pass fails first
  return lossSum;
}
