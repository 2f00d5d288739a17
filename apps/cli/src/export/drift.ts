import type { Backend } from '@qlorajs/compute';
import { type PeftAdapterFiles, updateOf } from '@qlorajs/lora';
import { loadPhi, type PhiConfig, phiModules } from '@qlorajs/phi2-model';
import { dequantizeNf4, quantizeNf4 } from '@qlorajs/quant-nf4';
import type { TensorSource } from '@qlorajs/safetensors';

/** How far 4-bit weights are from the merged ones. */
export interface WeightDrift {
  /** |quantized - merged| / |merged|, over all linear layers of the blocks. */
  readonly relative: number;
  /** |quantized - merged| / |update|: above 1, rounding is larger than what was learnt. */
  readonly against_update: number;
}

const squares = (values: ArrayLike<number>): number => {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i] * values[i];
  return sum;
};

/** The squared size of scaling B A, by way of the small Gram matrices. */
function updateSquares(files: PeftAdapterFiles, module: string): number {
  const update = updateOf(files, module);
  if (!update) return 0;
  const { a, b, rank, scaling } = update;
  const [columns, rows] = [a.length / rank, b.length / rank];
  let sum = 0;
  for (let i = 0; i < rank; i++)
    for (let j = 0; j < rank; j++) {
      let [aa, bb] = [0, 0];
      for (let k = 0; k < columns; k++) aa += a[i * columns + k] * a[j * columns + k];
      for (let k = 0; k < rows; k++) bb += b[k * rank + i] * b[k * rank + j];
      sum += aa * bb;
    }
  return scaling * scaling * sum;
}

/** Quantizes every linear layer of merged weights and measures what that loses. */
export async function weightDrift(
  config: PhiConfig,
  merged: TensorSource,
  adapters: readonly PeftAdapterFiles[],
  doubleQuant: boolean,
): Promise<WeightDrift> {
  let [error, size, update] = [0, 0, 0];
  for (const { name } of phiModules(config)) {
    const values = await merged.readFloat32(`${name}.weight`);
    const { shape } = merged.tensors.get(`${name}.weight`)!;
    const rounded = dequantizeNf4(quantizeNf4(values, { shape, name, doubleQuant }));
    size += squares(values);
    for (let i = 0; i < values.length; i++) error += (rounded[i] - values[i]) ** 2;
    for (const files of adapters) update += updateSquares(files, name);
  }
  return { relative: Math.sqrt(error / size), against_update: Math.sqrt(error / update) };
}

/** How far two sets of logits are apart. */
export interface LogitDrift {
  readonly largest: number;
  readonly mean: number;
  /** Positions whose likeliest token changed. */
  readonly changed: number;
  readonly positions: number;
}

/** Logits of a fixed row of token ids. */
export async function probeLogits(
  backend: Backend,
  config: PhiConfig,
  source: TensorSource,
  quantize: { readonly doubleQuant: boolean } | null,
): Promise<Float32Array> {
  const model = await loadPhi(backend, config, source, { quantize });
  const length = Math.min(48, config.maxPositions);
  const inputIds = Int32Array.from(
    { length },
    (_, i) => (i * i * 31 + 7 * i + 3) % config.vocabSize,
  );
  const logits = await model.logits({
    ...{ inputIds, length, batchSize: 1 },
    lengths: Int32Array.of(length),
  });
  model.dispose();
  return logits;
}

export function logitDrift(a: Float32Array, b: Float32Array, vocabSize: number): LogitDrift {
  let [largest, sum, changed] = [0, 0, 0];
  const positions = a.length / vocabSize;
  for (let row = 0; row < positions; row++) {
    let [bestA, bestB] = [row * vocabSize, row * vocabSize];
    for (let i = row * vocabSize; i < (row + 1) * vocabSize; i++) {
      const off = Math.abs(a[i] - b[i]);
      largest = Math.max(largest, off);
      sum += off;
      if (a[i] > a[bestA]) bestA = i;
      if (b[i] > b[bestB]) bestB = i;
    }
    if (bestA !== bestB) changed++;
  }
  return { largest, mean: sum / a.length, changed, positions };
}
