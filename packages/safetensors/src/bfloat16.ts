/** `out[i] = f32 bits of values[i]`: a bfloat16 is the upper half of an f32. */
export function widenBfloat16(values: Uint16Array, out: Uint32Array): void {
  for (let i = 0; i < values.length; i++) out[i] = values[i]! << 16;
}

/** `out[i] = bfloat16 bits` of f32 bits, rounded to nearest even; overflow gives infinity. */
export function narrowBfloat16(singles: Uint32Array, out: Uint16Array): void {
  for (let i = 0; i < singles.length; i++) {
    const bits = singles[i]!;
    // Rounding could carry a NaN into infinity: a NaN keeps sign and upper payload instead.
    out[i] =
      (bits & 0x7fffffff) > 0x7f800000 ? nan(bits) : (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
  }
}

function nan(bits: number): number {
  const kept = bits >>> 16;
  return (kept & 0x7f) === 0 ? kept | 1 : kept;
}
