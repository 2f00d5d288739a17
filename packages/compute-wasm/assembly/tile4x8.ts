import { madd } from './simd';

/** C [4, 8] (`stride` bytes a row) = or += A B; A is `[k][4]`, B is `[k][8]`. */
export function tile4x8(
  a: usize,
  b: usize,
  k: i32,
  c: usize,
  stride: usize,
  accumulate: bool,
): void {
  const r0 = c;
  const r1 = c + stride;
  const r2 = c + stride * 2;
  const r3 = c + stride * 3;
  let c00 = f32x4.splat(0);
  let c01 = f32x4.splat(0);
  let c10 = f32x4.splat(0);
  let c11 = f32x4.splat(0);
  let c20 = f32x4.splat(0);
  let c21 = f32x4.splat(0);
  let c30 = f32x4.splat(0);
  let c31 = f32x4.splat(0);
  if (accumulate) {
    c00 = v128.load(r0);
    c01 = v128.load(r0, 16);
    c10 = v128.load(r1);
    c11 = v128.load(r1, 16);
    c20 = v128.load(r2);
    c21 = v128.load(r2, 16);
    c30 = v128.load(r3);
    c31 = v128.load(r3, 16);
  }
  const end = b + ((<usize>k) << 5);
  while (b < end) {
    const b0 = v128.load(b);
    const b1 = v128.load(b, 16);
    let s = v128.load_splat<f32>(a);
    c00 = madd(s, b0, c00);
    c01 = madd(s, b1, c01);
    s = v128.load_splat<f32>(a, 4);
    c10 = madd(s, b0, c10);
    c11 = madd(s, b1, c11);
    s = v128.load_splat<f32>(a, 8);
    c20 = madd(s, b0, c20);
    c21 = madd(s, b1, c21);
    s = v128.load_splat<f32>(a, 12);
    c30 = madd(s, b0, c30);
    c31 = madd(s, b1, c31);
    a += 16;
    b += 32;
  }
  v128.store(r0, c00);
  v128.store(r0, c01, 16);
  v128.store(r1, c10);
  v128.store(r1, c11, 16);
  v128.store(r2, c20);
  v128.store(r2, c21, 16);
  v128.store(r3, c30);
  v128.store(r3, c31, 16);
}
