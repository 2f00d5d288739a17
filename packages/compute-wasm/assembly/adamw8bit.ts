import { chunkCount, float, integer, nextChunk, pointer, threadScratch } from './control';

/** Elements that share a scale, and a chunk of this kernel. */
const BLOCK: i32 = 256;
const SMALLEST_ABSMAX: f32 = 1e-38;

function entry(map: usize, code: i32): f32 {
  return load<f32>(map + ((<usize>code) << 2));
}

/** bitsandbytes' `dQuantize`: the nearest entry of the map, a tie to where the search stands. */
function nearestCode(map: usize, x: f32): i32 {
  let pivot = 127;
  let lower = 0;
  let upper = 255;
  for (let step = 64; step > 0; step >>= 1) {
    if (x > entry(map, pivot)) {
      lower = pivot;
      pivot += step;
    } else {
      upper = pivot;
      pivot -= step;
    }
  }
  const value = entry(map, pivot);
  if (x > value) return x > (entry(map, upper) + value) * 0.5 ? upper : pivot;
  return x < (entry(map, lower) + value) * 0.5 ? lower : pivot;
}

/** Rounds `count` moments to codes and returns their scale. */
function quantize(moments: usize, count: i32, map: usize, codes: usize): f32 {
  let absmax: f32 = 0;
  for (let i: usize = 0; i < <usize>count; i++)
    absmax = max(absmax, abs(load<f32>(moments + (i << 2))));
  const inverse: f32 = 1 / max(absmax, SMALLEST_ABSMAX);
  for (let i: usize = 0; i < <usize>count; i++) {
    const code = absmax == 0 ? 0 : nearestCode(map, load<f32>(moments + (i << 2)) * inverse);
    store<u8>(codes + i, code);
  }
  return absmax;
}

/**
 * Integers: parameter, gradient, codes1, codes2, absmax1, absmax2, maps (512 floats), scale, elements;
 * floats: b1, 1 - b1, b2, 1 - b2, step size, epsilon, 1 - lr wd (see `adamW8bitFactors`).
 */
export function adamw8bit(thread: i32): void {
  const total = integer(8);
  for (let chunk = nextChunk(); chunk < chunkCount(); chunk = nextChunk())
    stepBlock(chunk, min(BLOCK, total - chunk * BLOCK), threadScratch(thread));
}

function stepBlock(block: i32, count: i32, scratch: usize): void {
  const start = <usize>(block * BLOCK);
  const parameter = pointer(0) + (start << 2);
  const gradient = pointer(1) + (start << 2);
  const codes1 = pointer(2) + start;
  const codes2 = pointer(3) + start;
  const absmax1 = pointer(4) + ((<usize>block) << 2);
  const absmax2 = pointer(5) + ((<usize>block) << 2);
  const map1 = pointer(6);
  const map2 = map1 + 1024;
  const first = scratch;
  const second = scratch + 1024;
  updateMoments(gradient, codes1, codes2, load<f32>(absmax1), load<f32>(absmax2), count, scratch);
  store<f32>(absmax1, quantize(first, count, map1, codes1));
  store<f32>(absmax2, quantize(second, count, map2, codes2));
  const stepSize = float(4);
  const epsilon = float(5);
  const keep = float(6);
  for (let i: usize = 0; i < <usize>count; i++) {
    const at = i << 2;
    const m = load<f32>(first + at);
    const code = <i32>load<u8>(codes1 + i);
    // Wraps, as bitsandbytes' bytes do.
    if (entry(map1, code) < 0 != reinterpret<i32>(m) < 0)
      store<u8>(codes1 + i, m > 0 ? code + 1 : code - 1);
    if (!isFinite(load<f32>(gradient + at))) continue;
    const update = (stepSize * m) / (sqrt<f32>(load<f32>(second + at)) + epsilon);
    store<f32>(parameter + at, (load<f32>(parameter + at) + update) * keep);
  }
}

/** The new moments of a block, in f32, into the scratch: 256 first ones, then 256 second ones. */
function updateMoments(
  gradient: usize,
  codes1: usize,
  codes2: usize,
  absmax1: f32,
  absmax2: f32,
  count: i32,
  scratch: usize,
): void {
  const map1 = pointer(6);
  const map2 = map1 + 1024;
  const scale = load<f32>(pointer(7));
  const beta1 = float(0);
  const rest1 = float(1);
  const beta2 = float(2);
  const rest2 = <f64>float(3);
  for (let i: usize = 0; i < <usize>count; i++) {
    const raw = load<f32>(gradient + (i << 2));
    const finite = isFinite(raw);
    const g = raw * scale;
    const m = entry(map1, load<u8>(codes1 + i)) * absmax1;
    const v = entry(map2, load<u8>(codes2 + i)) * absmax2;
    const square = <f32>(rest2 * <f64>g * <f64>g);
    store<f32>(scratch + (i << 2), finite ? m * beta1 + rest1 * g : 0);
    store<f32>(scratch + 1024 + (i << 2), finite ? v * beta2 + square : 0);
  }
}
