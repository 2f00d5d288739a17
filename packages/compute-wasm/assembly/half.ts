// f16 to f32. Most weights are normal numbers, for which moving the fraction and adding to the
// exponent is enough; zeros, subnormals, infinities and NaN take a longer way, eight at a time.

// All but the copies of the sign that sign extension leaves; the difference of the exponents
// biases. The bits of the exponent of a half.
const TABLE: usize = memory.data<u32>([0x8fffe000, 0x38000000]);
const EXPONENT: usize = memory.data<u16>([0x7c00, 0]);

/** True when the sixteen halves of two vectors are all normal. */
export function allNormal(a: v128, b: v128): bool {
  const mask = v128.load_splat<u16>(EXPONENT);
  const exponentA = v128.and(a, mask);
  const exponentB = v128.and(b, mask);
  const lowest = i16x8.min_s(exponentA, exponentB);
  const highest = i16x8.max_s(exponentA, exponentB);
  return i16x8.all_true(v128.andnot(lowest, i16x8.eq(highest, mask)));
}

/** Four normal halves, sign-extended to 32 bits. */
function widenNormal(extended: v128): v128 {
  const bits = v128.and(i32x4.shl(extended, 13), v128.load_splat<u32>(TABLE));
  return i32x4.add(bits, v128.load_splat<u32>(TABLE, 4));
}

export function widenLow(halves: v128): v128 {
  return widenNormal(i32x4.extend_low_i16x8_s(halves));
}

export function widenHigh(halves: v128): v128 {
  return widenNormal(i32x4.extend_high_i16x8_s(halves));
}

/** Any four halves, in the low 16 bits of the lanes. */
function widenAny(h: v128): v128 {
  const magnitude = i32x4.shl(v128.and(h, i32x4.splat(0x7fff)), 13);
  const exponent = v128.and(h, i32x4.splat(0x7c00));
  const normal = i32x4.add(magnitude, i32x4.splat(112 << 23));
  // Subnormals: put the fraction behind 2^-14 and subtract that again, so that no f32 subnormal occurs.
  const bias = i32x4.splat(113 << 23);
  const subnormal = f32x4.sub(i32x4.add(magnitude, bias), bias);
  const special = i32x4.add(magnitude, i32x4.splat(224 << 23));
  let v = v128.bitselect(subnormal, normal, i32x4.eq(exponent, i32x4.splat(0)));
  v = v128.bitselect(special, v, i32x4.eq(exponent, i32x4.splat(0x7c00)));
  return v128.or(v, i32x4.shl(v128.and(h, i32x4.splat(0x8000)), 16));
}

/** `count` halves at `from`, as f32 at `to`. Exact, infinities and NaN included. */
export function widenHalves(from: usize, count: i32, to: usize): void {
  let i = 0;
  for (; i + 8 <= count; i += 8) {
    const h = v128.load(from);
    if (allNormal(h, h)) {
      v128.store(to, widenLow(h));
      v128.store(to, widenHigh(h), 16);
    } else {
      v128.store(to, widenAny(i32x4.extend_low_i16x8_u(h)));
      v128.store(to, widenAny(i32x4.extend_high_i16x8_u(h)), 16);
    }
    from += 16;
    to += 32;
  }
  for (; i < count; i++) {
    store<f32>(to, f32x4.extract_lane(widenAny(i32x4.splat(load<u16>(from))), 0));
    from += 2;
    to += 4;
  }
}
