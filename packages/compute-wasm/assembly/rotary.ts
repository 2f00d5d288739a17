import { CHUNK_ROWS, chunkCount, float, integer, nextChunk, pointer } from './control';
import { load4, store4 } from './simd';

/**
 * A chunk is CHUNK_ROWS rows. Integers: x, positions, cos, sin, heads, headDim, half of rotaryDim,
 * rows; floats: the sign of sin.
 */
export function rotary(thread: i32): void {
  for (let chunk = nextChunk(); chunk < chunkCount(); chunk = nextChunk()) {
    const end = min(integer(7), (chunk + 1) * CHUNK_ROWS);
    for (let row = chunk * CHUNK_ROWS; row < end; row++) turn(row);
  }
}

function turn(row: i32): void {
  const heads = integer(4);
  const headBytes = (<usize>integer(5)) << 2;
  const half = integer(6);
  const halfBytes = (<usize>half) << 2;
  const sign = f32x4.splat(float(0));
  const position = <usize>load<i32>(pointer(1) + ((<usize>row) << 2));
  const cos = pointer(2) + position * halfBytes;
  const sin = pointer(3) + position * halfBytes;
  let x = pointer(0) + <usize>(row * heads) * headBytes;
  for (let head = 0; head < heads; head++) {
    for (let i = 0; i < half; i += 4) {
      const at = (<usize>i) << 2;
      const count = half - i;
      const c = load4(cos + at, count);
      const s = f32x4.mul(load4(sin + at, count), sign);
      const low = load4(x + at, count);
      const high = load4(x + halfBytes + at, count);
      store4(x + at, count, f32x4.sub(f32x4.mul(low, c), f32x4.mul(high, s)));
      store4(x + halfBytes + at, count, f32x4.add(f32x4.mul(high, c), f32x4.mul(low, s)));
    }
    x += headBytes;
  }
}
