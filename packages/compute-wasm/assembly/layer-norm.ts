import { chunkCount, float, integer, nextChunk, pointer } from './control';
import { load4, loadTail, store4, sumLanes } from './simd';

/** A chunk is a group of rows. */
function lastRow(chunk: i32, rows: i32, chunkRows: i32): i32 {
  return min(rows, (chunk + 1) * chunkRows);
}

/** The sum of a row. */
function sumRow(x: usize, width: i32): f32 {
  let s0 = f32x4.splat(0);
  let s1 = f32x4.splat(0);
  let c = 0;
  for (; c + 8 <= width; c += 8) {
    s0 = f32x4.add(s0, v128.load(x));
    s1 = f32x4.add(s1, v128.load(x, 16));
    x += 32;
  }
  for (; c < width; c += 4) {
    s0 = f32x4.add(s0, load4(x, width - c));
    x += 16;
  }
  return sumLanes(f32x4.add(s0, s1));
}

/** The sum of (x - mean)^2. */
function sumSquaredDistances(x: usize, width: i32, mean: f32): f32 {
  const center = f32x4.splat(mean);
  let s0 = f32x4.splat(0);
  let s1 = f32x4.splat(0);
  let c = 0;
  for (; c + 8 <= width; c += 8) {
    const d0 = f32x4.sub(v128.load(x), center);
    const d1 = f32x4.sub(v128.load(x, 16), center);
    s0 = f32x4.add(s0, f32x4.mul(d0, d0));
    s1 = f32x4.add(s1, f32x4.mul(d1, d1));
    x += 32;
  }
  for (; c < width; c += 4) {
    // Absent lanes hold the mean, so that they add 0.
    const v = width - c >= 4 ? v128.load(x) : loadTail(x, width - c, center);
    const d = f32x4.sub(v, center);
    s0 = f32x4.add(s0, f32x4.mul(d, d));
    x += 16;
  }
  return sumLanes(f32x4.add(s0, s1));
}

/** Integers: x, weight, bias, out, mean, rstd, rows, width, rows of a chunk; floats: epsilon. */
export function layerNorm(thread: i32): void {
  const width = integer(7);
  const weight = pointer(1);
  const bias = pointer(2);
  for (let chunk = nextChunk(); chunk < chunkCount(); chunk = nextChunk()) {
    const end = lastRow(chunk, integer(6), integer(8));
    for (let row = chunk * integer(8); row < end; row++) {
      const x = pointer(0) + ((<usize>row * width) << 2);
      const out = pointer(3) + ((<usize>row * width) << 2);
      const mean = sumRow(x, width) / <f32>width;
      const variance = sumSquaredDistances(x, width, mean) / <f32>width;
      const rstd: f32 = 1 / sqrt<f32>(variance + float(0));
      store<f32>(pointer(4) + ((<usize>row) << 2), mean);
      store<f32>(pointer(5) + ((<usize>row) << 2), rstd);
      for (let c = 0; c < width; c += 4) {
        const at = (<usize>c) << 2;
        const count = width - c;
        const n = f32x4.mul(f32x4.sub(load4(x + at, count), f32x4.splat(mean)), f32x4.splat(rstd));
        const v = f32x4.add(f32x4.mul(n, load4(weight + at, count)), load4(bias + at, count));
        store4(out + at, count, v);
      }
    }
  }
}

/** Integers: dOut, x, weight, mean, rstd, dX, rows, width, rows of a chunk, accumulate. */
export function layerNormBackward(thread: i32): void {
  const width = integer(7);
  const weight = pointer(2);
  for (let chunk = nextChunk(); chunk < chunkCount(); chunk = nextChunk()) {
    const end = lastRow(chunk, integer(6), integer(8));
    for (let row = chunk * integer(8); row < end; row++) {
      const base = (<usize>row * width) << 2;
      const dOut = pointer(0) + base;
      const x = pointer(1) + base;
      const dX = pointer(5) + base;
      const mean = f32x4.splat(load<f32>(pointer(3) + ((<usize>row) << 2)));
      const rstd = f32x4.splat(load<f32>(pointer(4) + ((<usize>row) << 2)));
      let sum = f32x4.splat(0);
      let sumNormalized = f32x4.splat(0);
      for (let c = 0; c < width; c += 4) {
        const at = (<usize>c) << 2;
        const count = width - c;
        // Absent lanes have g = 0.
        const g = f32x4.mul(load4(dOut + at, count), load4(weight + at, count));
        const n = f32x4.mul(f32x4.sub(load4(x + at, count), mean), rstd);
        sum = f32x4.add(sum, g);
        sumNormalized = f32x4.add(sumNormalized, f32x4.mul(g, n));
      }
      const meanG = f32x4.splat(sumLanes(sum) / <f32>width);
      const meanGN = f32x4.splat(sumLanes(sumNormalized) / <f32>width);
      for (let c = 0; c < width; c += 4) {
        const at = (<usize>c) << 2;
        const count = width - c;
        const g = f32x4.mul(load4(dOut + at, count), load4(weight + at, count));
        const n = f32x4.mul(f32x4.sub(load4(x + at, count), mean), rstd);
        let v = f32x4.mul(rstd, f32x4.sub(f32x4.sub(g, meanG), f32x4.mul(n, meanGN)));
        if (integer(9)) v = f32x4.add(load4(dX + at, count), v);
        store4(dX + at, count, v);
      }
    }
  }
}
