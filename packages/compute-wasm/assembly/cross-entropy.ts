import { chunkCount, float, integer, nextChunk, pointer } from './control';
import { load4, loadTail, maxLanes, store4, sumLanes } from './simd';
import { exp4, log4 } from './transcendental';

/** Elements whose exponentials are summed in f32 before they go into the f64 total. */
const STRETCH: i32 = 1024;

function largestOf(x: usize, width: i32): f32 {
  let largest = f32x4.splat(-Infinity);
  for (let c = 0; c < width; c += 4) {
    const at = x + ((<usize>c) << 2);
    const v = width - c >= 4 ? v128.load(at) : loadTail(at, width - c, largest);
    largest = f32x4.max(largest, v);
  }
  return maxLanes(largest);
}

/** The sum of exp(x - largest); with `keep` the exponentials replace x. */
function sumExponentials(x: usize, width: i32, largest: f32, keep: bool): f64 {
  const top = f32x4.splat(largest);
  let total: f64 = 0;
  for (let start = 0; start < width; start += STRETCH) {
    const end = min(width, start + STRETCH);
    let sum = f32x4.splat(0);
    let c = start;
    for (; c + 4 <= end; c += 4) {
      const at = x + ((<usize>c) << 2);
      const e = exp4(f32x4.sub(v128.load(at), top));
      sum = f32x4.add(sum, e);
      if (keep) v128.store(at, e);
    }
    total += <f64>sumLanes(sum);
    for (; c < end; c++) {
      const at = x + ((<usize>c) << 2);
      const e = f32x4.extract_lane(exp4(f32x4.splat(load<f32>(at) - largest)), 0);
      total += <f64>e;
      if (keep) store<f32>(at, e);
    }
  }
  return total;
}

/** A chunk is one row. Integers: logits, labels, losses, width, 1 for gradients; floats: their scale. */
export function crossEntropy(thread: i32): void {
  const width = integer(3);
  for (let row = nextChunk(); row < chunkCount(); row = nextChunk()) {
    const x = pointer(0) + ((<usize>row * width) << 2);
    const label = load<i32>(pointer(1) + ((<usize>row) << 2));
    const loss = pointer(2) + ((<usize>row) << 2);
    if (label < 0) {
      store<f32>(loss, 0);
      if (integer(4)) memory.fill(x, 0, (<usize>width) << 2);
      continue;
    }
    const target = x + ((<usize>label) << 2);
    const chosen = load<f32>(target);
    const largest = largestOf(x, width);
    const sum = sumExponentials(x, width, largest, integer(4) != 0);
    const logarithm = f32x4.extract_lane(log4(f32x4.splat(<f32>sum)), 0);
    store<f32>(loss, logarithm + (largest - chosen));
    if (!integer(4)) continue;
    const scale = f32x4.splat(<f32>(<f64>float(0) / sum));
    for (let c = 0; c < width; c += 4) {
      const at = x + ((<usize>c) << 2);
      store4(at, width - c, f32x4.mul(load4(at, width - c), scale));
    }
    store<f32>(target, load<f32>(target) - float(0));
  }
}
