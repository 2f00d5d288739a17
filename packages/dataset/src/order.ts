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
