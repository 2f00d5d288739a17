/** Widens four f16 in the low 16 bits of four lanes to f32; exact, infinities and NaN included. */
function widen4(h: v128): v128 {
  const magnitude = i32x4.shl(v128.and(h, i32x4.splat(0x7fff)), 13);
  const exponent = v128.and(h, i32x4.splat(0x7c00));
  const normal = i32x4.add(magnitude, i32x4.splat(112 << 23));
  // Subnormals: put the fraction behind 2^-14 and subtract that again, so that no f32 subnormal occurs.
  const subnormal = f32x4.sub(i32x4.add(magnitude, i32x4.splat(113 << 23)), i32x4.splat(113 << 23));
  const special = i32x4.add(magnitude, i32x4.splat(224 << 23));
  let v = v128.bitselect(subnormal, normal, i32x4.eq(exponent, i32x4.splat(0)));
  v = v128.bitselect(special, v, i32x4.eq(exponent, i32x4.splat(0x7c00)));
  return v128.or(v, i32x4.shl(v128.and(h, i32x4.splat(0x8000)), 16));
}

/** `count` halves at `from`, as f32 at `to`. */
export function widenHalves(from: usize, count: i32, to: usize): void {
  let i = 0;
  for (; i + 8 <= count; i += 8) {
    const h = v128.load(from);
    v128.store(to, widen4(i32x4.extend_low_i16x8_u(h)));
    v128.store(to, widen4(i32x4.extend_high_i16x8_u(h)), 16);
    from += 16;
    to += 32;
  }
  for (; i < count; i++) {
    store<f32>(to, f32x4.extract_lane(widen4(i32x4.splat(load<u16>(from))), 0));
    from += 2;
    to += 4;
  }
}
