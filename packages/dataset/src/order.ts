import { uniformInt } from 'pure-rand/distribution/uniformInt';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';

/**
 * A permutation of 0..count-1 for an epoch (Fisher-Yates). The same seed and epoch give the same
 * order on every machine; epochs draw from streams that never meet (xoroshiro128+ jumps).
 *
 * @param seed A 32-bit integer.
 * @param epoch 0-based.
 */
export function shuffledOrder(count: number, seed: number, epoch: number): Int32Array {
  const random = xoroshiro128plus(seed);
  for (let jump = 0; jump < epoch; jump++) random.jump();
  const order = Int32Array.from({ length: count }, (_, index) => index);
  for (let last = count - 1; last > 0; last--) {
    const other = uniformInt(random, 0, last);
    [order[last], order[other]] = [order[other]!, order[last]!];
  }
  return order;
}

/** Most batches that are sorted together. */
const MOST_BATCHES = 50;

/**
 * A permutation that puts rows of similar lengths beside each other (transformers,
 * `get_length_grouped_indices`): the shuffled rows are cut into groups of some batches, each sorted
 * by length, and the longest row of all comes first, so that memory runs out soon or never.
 *
 * @param lengths Tokens of each row.
 * @param batchSize Rows of one optimizer step.
 */
export function lengthGroupedOrder(
  lengths: ArrayLike<number>,
  batchSize: number,
  seed: number,
  epoch: number,
): Int32Array {
  const shuffled = shuffledOrder(lengths.length, seed, epoch);
  const batches = Math.min(Math.floor(lengths.length / (batchSize * 4)), MOST_BATCHES) || 1;
  const size = batches * batchSize;
  const order = new Int32Array(lengths.length);
  let longest = 0;
  for (let start = 0; start < order.length; start += size) {
    // Sorting is stable: rows of one length stay shuffled.
    const group = Array.from(shuffled.subarray(start, start + size));
    order.set(
      group.sort((a, b) => lengths[b]! - lengths[a]!),
      start,
    );
    if (lengths[order[start]!]! > lengths[order[longest]!]!) longest = start;
  }
  if (order.length > 0) [order[0], order[longest]] = [order[longest]!, order[0]!];
  return order;
}
