/** f32 bits of each of the 65,536 IEEE binary16 values; a NaN keeps its sign and payload. */
function widenBits(half: number): number {
  const sign = (half & 0x8000) << 16;
  const exponent = (half >>> 10) & 0x1f;
  const mantissa = half & 0x3ff;
  if (exponent === 0x1f) return sign | 0x7f800000 | (mantissa << 13);
  if (exponent !== 0) return sign | ((exponent + 112) << 23) | (mantissa << 13);
  if (mantissa === 0) return sign;
  // Subnormal: mantissa * 2^-24. Its top bit becomes the implicit one of an f32.
  const shift = Math.clz32(mantissa) - 21;
  return sign | ((113 - shift) << 23) | ((mantissa << (13 + shift)) & 0x7fffff);
}

let table: Uint32Array | undefined;

/** 256 KiB, filled on first use: one load an element is what makes widening fast. */
function widenTable(): Uint32Array {
  table ??= Uint32Array.from({ length: 65536 }, (_, half) => widenBits(half));
  return table;
}

/** `out[i] = f32 bits of halves[i]`. Bits, not floats: a JavaScript number may lose a NaN's payload. */
export function widenFloat16(halves: Uint16Array, out: Uint32Array): void {
  const bits = widenTable();
  for (let i = 0; i < halves.length; i++) out[i] = bits[halves[i]!]!;
}

/** `out[i] = binary16 bits` of f32 bits, rounded to nearest even; overflow gives infinity. */
export function narrowFloat16(singles: Uint32Array, out: Uint16Array): void {
  for (let i = 0; i < singles.length; i++) {
    const bits = singles[i]!;
    out[i] = ((bits >>> 16) & 0x8000) | magnitude(bits & 0x7fffffff);
  }
}

function magnitude(bits: number): number {
  if (bits > 0x7f800000) return nan(bits);
  if (bits >= 0x477ff000) return 0x7c00; // 65520 and above: nearer to infinity than to 65504
  if (bits >= 0x38800000) {
    // 2^-14 and above: rebias the exponent by -112, add half a unit less one, or half when odd.
    const rebiased = bits - 0x38000000;
    return (rebiased + 0xfff + ((rebiased >>> 13) & 1)) >>> 13;
  }
  if (bits <= 0x33000000) return 0; // up to 2^-25, half the smallest subnormal: the tie is even
  const shift = 126 - (bits >>> 23);
  const mantissa = (bits & 0x7fffff) | 0x800000;
  const kept = mantissa >>> shift;
  const rest = mantissa & ((1 << shift) - 1);
  const half = 1 << (shift - 1);
  return rest > half || (rest === half && (kept & 1) === 1) ? kept + 1 : kept;
}

/** Keeps the upper payload, as NumPy does; where none is left, the lowest bit keeps it a NaN. */
function nan(bits: number): number {
  return 0x7c00 | ((bits & 0x7fffff) >>> 13 || 1);
}
