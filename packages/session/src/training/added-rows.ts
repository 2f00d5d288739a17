import { counterKey, counterNormal } from '@qlorajs/compute';
import { type TensorSource, toFloat32 } from '@qlorajs/safetensors';

const ROWS_AT_ONCE = 4096;
const NOISE = 0.1;

/** Mean and standard deviation of every column of a table's first rows. */
interface ColumnStatistics {
  readonly mean: Float64Array;
  readonly deviation: Float64Array;
}

async function columnStatistics(
  weights: TensorSource,
  name: string,
  rows: number,
): Promise<ColumnStatistics> {
  const { dtype, shape, byteLength } = weights.tensors.get(name)!;
  const [total, width] = shape;
  const rowBytes = byteLength / total;
  const [sum, squares] = [new Float64Array(width), new Float64Array(width)];
  for (let start = 0; start < rows; start += ROWS_AT_ONCE) {
    const count = Math.min(ROWS_AT_ONCE, rows - start);
    const range = { offset: start * rowBytes, length: count * rowBytes };
    const values = toFloat32(await weights.readBytes(name, range), dtype);
    for (let i = 0; i < values.length; i++) {
      sum[i % width] += values[i];
      squares[i % width] += values[i] * values[i];
    }
  }
  const mean = sum.map((each) => each / rows);
  const deviation = squares.map((each, i) => Math.sqrt(Math.max(0, each / rows - mean[i] ** 2)));
  return { mean, deviation };
}

/**
 * First values for the rows of tokens that the base never saw: the mean of the rows it did see, plus
 * a tenth of their spread as noise, so that the new tokens start likely and apart from each other
 * (https://nlp.stanford.edu/~johnhew/vocab-expansion.html).
 * @param known rows of the table that belong to tokens of the base
 * @returns f32 `[count, C]`
 */
export async function addedRows(
  weights: TensorSource,
  table: 'model.embed_tokens.weight' | 'lm_head.weight',
  known: number,
  count: number,
  seed: number,
): Promise<Float32Array> {
  const { mean, deviation } = await columnStatistics(weights, table, known);
  const width = mean.length;
  const key = counterKey(seed, table === 'lm_head.weight' ? 0x4ead : 0xe3bed);
  return Float32Array.from(
    { length: count * width },
    (_, i) => mean[i % width] + NOISE * deviation[i % width] * counterNormal(key, i),
  );
}
