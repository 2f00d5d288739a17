import { QLoraError } from '@qlorajs/errors';

/** A low-rank update as plain arrays. */
export interface LoraMatrices {
  /** `[rank, in]` */
  readonly a: Float32Array;
  /** `[out, rank]` */
  readonly b: Float32Array;
  readonly rank: number;
  readonly scaling: number;
}

/** row += four ranks of b a, one after the other; the row is read and written once. */
function addFour(row: Float64Array, a: Float32Array, start: number, b: Float32Array, at: number) {
  const width = row.length;
  const [b0, b1, b2, b3] = [b[at]!, b[at + 1]!, b[at + 2]!, b[at + 3]!];
  const [a1, a2, a3] = [start + width, start + 2 * width, start + 3 * width];
  for (let i = 0; i < width; i++)
    row[i] = row[i]! + b0 * a[start + i]! + b1 * a[a1 + i]! + b2 * a[a2 + i]! + b3 * a[a3 + i]!;
}

function addUpdate(weight: Float32Array, { a, b, rank }: LoraMatrices, scaling: number): void {
  const inFeatures = a.length / rank;
  const outFeatures = b.length / rank;
  if (weight.length !== inFeatures * outFeatures)
    throw new QLoraError(
      'LORA_MERGE',
      `the weight has ${weight.length} elements, the update is [${outFeatures}, ${inFeatures}]; merge into the layer that the adapter was trained on`,
      { details: { size: weight.length, shape: [outFeatures, inFeatures] } },
    );
  // One row of B A at a time, summed in float64 in the order of the ranks and rounded once.
  const row = new Float64Array(inFeatures);
  for (let o = 0; o < outFeatures; o++) {
    row.fill(0);
    let k = 0;
    for (; k + 4 <= rank; k += 4) addFour(row, a, k * inFeatures, b, o * rank + k);
    for (; k < rank; k++) {
      const factor = b[o * rank + k]!;
      const start = k * inFeatures;
      for (let i = 0; i < inFeatures; i++) row[i]! += factor * a[start + i]!;
    }
    const start = o * inFeatures;
    for (let i = 0; i < inFeatures; i++) weight[start + i]! += scaling * row[i]!;
  }
}

/**
 * weight += scaling * B A, in place: the layer then needs no adapter.
 *
 * @param weight f32 `[out, in]`.
 * @throws QLoraError `LORA_MERGE` when the shapes do not fit.
 * @example
 * ```ts
 * import { mergeLora } from '@qlorajs/lora';
 *
 * const weight = Float32Array.of(1, 1, 1, 1);
 * mergeLora(weight, { a: Float32Array.of(1, 2), b: Float32Array.of(1, 3), rank: 1, scaling: 2 });
 * console.log(weight.join()); // 3,5,7,13
 * ```
 */
export function mergeLora(weight: Float32Array, update: LoraMatrices): void {
  addUpdate(weight, update, update.scaling);
}

/** weight -= scaling * B A, in place; undoes {@link mergeLora} up to f32 rounding. */
export function unmergeLora(weight: Float32Array, update: LoraMatrices): void {
  addUpdate(weight, update, -update.scaling);
}

/** A DoRA update as plain arrays. */
export interface DoraMatrices extends LoraMatrices {
  /** `[out]` */
  readonly magnitude: Float32Array;
}

/**
 * weight = magnitude * (weight + scaling * B A) / |weight + scaling * B A|, row by row, in place: what
 * PEFT's merge of a DoRA layer gives.
 *
 * @param weight f32 `[out, in]`.
 * @throws QLoraError `LORA_MERGE` when the shapes do not fit.
 * @example
 * ```ts
 * import { mergeDora } from '@qlorajs/lora';
 *
 * const weight = Float32Array.of(3, 0);
 * const update = { a: Float32Array.of(0, 4), b: Float32Array.of(1), rank: 1, scaling: 1 };
 * mergeDora(weight, { ...update, magnitude: Float32Array.of(10) });
 * console.log(weight.join()); // 6,8
 * ```
 */
export function mergeDora(weight: Float32Array, update: DoraMatrices): void {
  addUpdate(weight, update, update.scaling);
  const { magnitude } = update;
  const width = weight.length / magnitude.length;
  for (let o = 0; o < magnitude.length; o++) {
    const row = weight.subarray(o * width, (o + 1) * width);
    const norm = Math.sqrt(row.reduce((sum, value) => sum + value * value, 0));
    for (let i = 0; i < row.length; i++) row[i]! *= magnitude[o]! / norm;
  }
}

/**
 * Puts trained token rows into a table, in place.
 *
 * @param table f32 `[vocabulary, hidden]`.
 * @param rows f32 `[ids, hidden]`.
 */
export function mergeTokenRows(
  table: Float32Array,
  ids: readonly number[],
  rows: Float32Array,
): void {
  const width = rows.length / ids.length;
  if (!Number.isInteger(width) || Math.max(...ids) * width + width > table.length)
    throw new QLoraError(
      'LORA_MERGE',
      `${rows.length} values for ${ids.length} token rows do not fit a table of ${table.length} elements`,
      { details: { ids, rows: rows.length, table: table.length } },
    );
  ids.forEach((id, i) => {
    table.set(rows.subarray(i * width, (i + 1) * width), id * width);
  });
}
