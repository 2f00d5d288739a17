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

/** The sum of exp(x - largest). */
function sumExponentials(x: usize, width: i32, largest: f32): f64 {
  const top = f32x4.splat(largest);
  let total: f64 = 0;
  for (let start = 0; start < width; start += STRETCH) {
    const end = min(width, start + STRETCH);
    let sum = f32x4.splat(0);
    let c = start;
    for (; c + 4 <= end; c += 4)
      sum = f32x4.add(sum, exp4(f32x4.sub(v128.load(x + ((<usize>c) << 2)), top)));
    total += <f64>sumLanes(sum);
    for (; c < end; c++) {
      const v = exp4(f32x4.splat(load<f32>(x + ((<usize>c) << 2)) - largest));
      total += <f64>f32x4.extract_lane(v, 0);
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
    const largest = largestOf(x, width);
    const sum = sumExponentials(x, width, largest);
    const target = x + ((<usize>label) << 2);
    const logarithm = f32x4.extract_lane(log4(f32x4.splat(<f32>sum)), 0);
    store<f32>(loss, logarithm + (largest - load<f32>(target)));
    if (!integer(4)) continue;
    const top = f32x4.splat(largest);
    const scale = f32x4.splat(<f32>(<f64>float(0) / sum));
    for (let c = 0; c < width; c += 4) {
      const at = x + ((<usize>c) << 2);
      const count = width - c;
      store4(at, count, f32x4.mul(exp4(f32x4.sub(load4(at, count), top)), scale));
    }
    store<f32>(target, load<f32>(target) - float(0));
  }
}
