/** Bytes in one f32 cell: 24 bits, the most that f32 holds exactly. Six NF4 codes. */
export const BYTES_PER_CELL = 3;

/** Writes bytes into cells, from byte `at` on. */
export function packBytes(cells: Float32Array, bytes: ArrayLike<number>, at: number): void {
  for (let i = 0; i < bytes.length; i++) {
    const index = Math.floor((at + i) / BYTES_PER_CELL);
    const place = 256 ** (BYTES_PER_CELL - 1 - ((at + i) % BYTES_PER_CELL));
    const old = Math.floor(cells[index] / place) % 256;
    cells[index] += (bytes[i] - old) * place;
  }
}

/** Bytes `at` to `at + count` of cells. */
export function unpackBytes(cells: Float32Array, at: number, count: number): Uint8Array {
  return Uint8Array.from({ length: count }, (_, i) => {
    const cell = cells[Math.floor((at + i) / BYTES_PER_CELL)];
    return (cell >>> (8 * (BYTES_PER_CELL - 1 - ((at + i) % BYTES_PER_CELL)))) & 255;
  });
}

/** An IEEE 754 binary16 from its bits. */
export function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
