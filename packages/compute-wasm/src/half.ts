const word = new DataView(new ArrayBuffer(4));

/** An IEEE 754 binary16 from its bits. */
export function halfToNumber(bits: number): number {
  const magnitude = bits & 0x7fff;
  const sign = bits & 0x8000 ? -1 : 1;
  if (magnitude < 0x400) return sign * magnitude * 2 ** -24;
  // The exponent moves from a bias of 15 to one of 127; that of infinities and NaN stays all ones.
  const shifted = (magnitude << 13) + (magnitude < 0x7c00 ? 112 << 23 : 224 << 23);
  word.setUint32(0, shifted);
  return sign * word.getFloat32(0);
}
