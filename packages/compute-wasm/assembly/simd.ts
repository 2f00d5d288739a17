// Small vector helpers. `madd` is the one place where the two builds differ in arithmetic.

/** a * b + c: one rounding in the relaxed build, two in the plain one. */
export function madd(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_madd(a, b, c);
  return f32x4.add(f32x4.mul(a, b), c);
}

/** The sum of four lanes, always in the same order. */
export function sumLanes(v: v128): f32 {
  return (
    f32x4.extract_lane(v, 0) +
    f32x4.extract_lane(v, 1) +
    (f32x4.extract_lane(v, 2) + f32x4.extract_lane(v, 3))
  );
}

export function maxLanes(v: v128): f32 {
  return max(
    max(f32x4.extract_lane(v, 0), f32x4.extract_lane(v, 1)),
    max(f32x4.extract_lane(v, 2), f32x4.extract_lane(v, 3)),
  );
}

/** The first `count` (1 to 3) floats at `at`; the other lanes come from `rest`. */
export function loadTail(at: usize, count: i32, rest: v128): v128 {
  let v = f32x4.replace_lane(rest, 0, load<f32>(at));
  if (count > 1) v = f32x4.replace_lane(v, 1, load<f32>(at, 4));
  if (count > 2) v = f32x4.replace_lane(v, 2, load<f32>(at, 8));
  return v;
}

/** Writes the first `count` (1 to 3) lanes. */
export function storeTail(at: usize, count: i32, v: v128): void {
  store<f32>(at, f32x4.extract_lane(v, 0));
  if (count > 1) store<f32>(at, f32x4.extract_lane(v, 1), 4);
  if (count > 2) store<f32>(at, f32x4.extract_lane(v, 2), 8);
}

/** Up to four floats; absent lanes are 0. */
export function load4(at: usize, count: i32): v128 {
  if (count >= 4) return v128.load(at);
  return loadTail(at, count, f32x4.splat(0));
}

/** Writes up to four lanes. */
export function store4(at: usize, count: i32, v: v128): void {
  if (count >= 4) v128.store(at, v);
  else storeTail(at, count, v);
}
