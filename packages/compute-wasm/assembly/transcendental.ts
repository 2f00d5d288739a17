// exp and log for four lanes, after Cephes (https://www.netlib.org/cephes/, expf and logf): about 1 ulp.
// Constants are loaded: V8 builds a vector literal anew wherever it stands, which takes longer.
import { madd } from './simd';

// The bounds of the argument, log2(e), 1.5 * 2^23 + 127, ln 2 in two parts, the polynomial, 1.
const EXP: usize = memory.data<f32>([
  -87.3, 88.0, 1.44269504088896341, 12583039.0, 0.693359375, -2.1219444e-4, 1.98756915e-4,
  1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1, 1.0,
]);

// sqrt(1 / 2), 1, ln 2 in two parts, 1 / 2, the polynomial.
const LOG: usize = memory.data<f32>([
  0.707106781186547524, 1.0, 0.693359375, -2.1219444e-4, 0.5, 7.0376836292e-2, -1.151461031e-1,
  1.167699874e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1, 2.0000714765e-1,
  -2.4999993993e-1, 3.3333331174e-1,
]);

/** Element `index` of a table, in all lanes. */
export function constant(table: usize, index: usize): v128 {
  return v128.load_splat<f32>(table + (index << 2));
}

/** e^x. Arguments are held in [-87.3, 88], so results stay normal; NaN stays NaN. */
export function exp4(x: v128): v128 {
  const held = f32x4.pmin(f32x4.pmax(x, constant(EXP, 0)), constant(EXP, 1));
  // Adding 1.5 * 2^23 rounds n = x / ln 2 to an integer, and leaves n + 127 in the low bits.
  const rounded = madd(held, constant(EXP, 2), constant(EXP, 3));
  const n = f32x4.sub(rounded, constant(EXP, 3));
  // ln 2 in two parts, the first with few bits, so that n * part is exact.
  let r = f32x4.sub(held, f32x4.mul(n, constant(EXP, 4)));
  r = f32x4.sub(r, f32x4.mul(n, constant(EXP, 5)));
  let p = madd(constant(EXP, 6), r, constant(EXP, 7));
  p = madd(p, r, constant(EXP, 8));
  p = madd(p, r, constant(EXP, 9));
  p = madd(p, r, constant(EXP, 10));
  p = madd(p, r, constant(EXP, 11));
  p = f32x4.add(madd(p, f32x4.mul(r, r), r), constant(EXP, 12));
  return f32x4.mul(p, i32x4.shl(rounded, 23));
}

/** Natural logarithm of positive normal numbers; other lanes are undefined. */
export function log4(x: v128): v128 {
  let e = f32x4.convert_i32x4_s(i32x4.sub(i32x4.shr_u(x, 23), i32x4.splat(126)));
  let m = v128.or(v128.and(x, i32x4.splat(0x007fffff)), i32x4.splat(0x3f000000));
  const small = f32x4.lt(m, constant(LOG, 0));
  e = f32x4.sub(e, v128.and(small, constant(LOG, 1)));
  m = f32x4.sub(f32x4.add(m, v128.and(small, m)), constant(LOG, 1));
  const z = f32x4.mul(m, m);
  let p = constant(LOG, 5);
  for (let i: usize = 6; i < 14; i++) p = madd(p, m, constant(LOG, i));
  let y = f32x4.mul(f32x4.mul(p, m), z);
  y = madd(e, constant(LOG, 3), y);
  y = f32x4.sub(y, f32x4.mul(z, constant(LOG, 4)));
  return madd(e, constant(LOG, 2), f32x4.add(m, y));
}
