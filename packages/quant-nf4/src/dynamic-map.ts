const EXPONENTS = 7;

/** torch.linspace in f32, whose kernel fuses the multiplication and the addition: one rounding. */
function linspace(start: number, end: number, count: number): number[] {
  const first = Math.fround(start);
  const step = Math.fround(Math.fround(end - first) / (count - 1));
  return Array.from({ length: count }, (_, i) =>
    Math.fround(i < count >> 1 ? first + step * i : end - step * (count - 1 - i)),
  );
}

/**
 * The 256 values of the 8-bit dynamic data type, ascending and within [-1, 1] (Dettmers et al.,
 * https://arxiv.org/abs/2110.02861): seven decades, each with twice the values of the one below it.
 * Bit for bit bitsandbytes' `create_dynamic_map(signed)`.
 *
 * @param signed - true for scales and first moments; false, with twice the resolution and zero as
 * the lowest value, for second moments
 */
export function dynamicMap(signed: boolean): Float32Array {
  const values = [0, 1];
  for (let exponent = 0; exponent < EXPONENTS; exponent += 1) {
    const edges = linspace(0.1, 1, (signed ? 2 ** exponent : 2 ** (exponent + 1)) + 1);
    const scale = Math.fround(Number(`1e${exponent - EXPONENTS + 1}`));
    for (let i = 0; i + 1 < edges.length; i += 1) {
      const middle = Math.fround(Math.fround(edges[i]! + edges[i + 1]!) / 2);
      values.push(Math.fround(scale * middle));
      if (signed) values.push(-Math.fround(scale * middle));
    }
  }
  return Float32Array.from(values).sort();
}
