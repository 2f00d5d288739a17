const VECTOR = 8;
const CHAINS = 4;
const LEVELS = 4;

/** `ceil(log2(x))` for a positive whole number. */
function ceilLog2(x: number): number {
  return x <= 1 ? 0 : 32 - Math.clz32(x - 1);
}

/**
 * Sums `rows` rows of `width` values, column by column, in a cascade of four accumulators: the lowest
 * takes some rows, is then added to the next and cleared, and so on, which keeps the rounding error
 * of f32 small. Returns the column
 * sums.
 */
function cascade(values: Float32Array, width: number, rows: number): Float32Array {
  const levelPower = Math.max(4, Math.floor(ceilLog2(rows) / LEVELS));
  const levelStep = 1 << levelPower;
  const levels = Array.from({ length: LEVELS }, () => new Float32Array(width));
  const lowest = levels[0]!;
  const addRow = (row: number) => {
    for (let k = 0; k < width; k += 1) lowest[k]! += values[row * width + k]!;
  };
  let row = 0;
  while (row + levelStep <= rows) {
    for (let step = 0; step < levelStep; step += 1, row += 1) addRow(row);
    for (let level = 1; level < LEVELS; level += 1) {
      const below = levels[level - 1]!;
      const sum = levels[level]!;
      for (let k = 0; k < width; k += 1) sum[k]! += below[k]!;
      below.fill(0);
      // On to the next level only when this one has taken its `levelStep` sums.
      if (Math.floor(row / 2 ** (level * levelPower)) % levelStep !== 0) break;
    }
  }
  for (; row < rows; row += 1) addRow(row);
  for (const sum of levels.slice(1)) {
    for (let k = 0; k < width; k += 1) lowest[k]! += sum[k]!;
  }
  return lowest;
}

/**
 * The mean of f32 values, in f32 and in the very order in which torch sums a contiguous tensor in one
 * thread of an x86 CPU (ATen's SumKernel: four chains of eight lanes, cascaded), so that the last bit
 * is torch's. There is no order that would be right for every torch: several threads (from 32,768
 * values on), other CPUs and GPUs each have their own.
 */
export function torchMean(values: Float32Array): number {
  const lanes = values.length < VECTOR ? 1 : VECTOR;
  const width = lanes * CHAINS;
  const vectors = Math.floor(values.length / lanes);
  const rows = Math.floor(vectors / CHAINS);
  const columns = cascade(values, width, rows);
  const first = columns.subarray(0, lanes);
  for (let i = rows * width; i < vectors * lanes; i += 1) first[i % lanes]! += values[i]!;
  for (let k = lanes; k < width; k += 1) first[k % lanes]! += columns[k]!;
  let sum = 0;
  for (let i = vectors * lanes; i < values.length; i += 1) sum = Math.fround(sum + values[i]!);
  for (const lane of first) sum = Math.fround(sum + lane);
  return Math.fround(sum / values.length);
}
