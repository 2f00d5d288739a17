/**
 * A finite number as Python's `repr(float)`, and so `json.dumps`, writes it: the shortest digits that
 * read back as the same f64, as in JavaScript, but always with a point or an exponent, and with the
 * exponent from 1e16 and below 1e-4 on, of two digits at least.
 */
export function pythonFloat(x: number): string {
  if (x === 0) return Object.is(x, -0) ? '-0.0' : '0.0';
  const [mantissa = '', exponentText = ''] = x.toExponential().split('e');
  const exponent = Number(exponentText);
  if (exponent >= -4 && exponent < 16) {
    // Here JavaScript writes no exponent either, except below 1e-6, which -4 keeps away.
    return Number.isInteger(x) ? `${x}.0` : String(x);
  }
  const digits = String(Math.abs(exponent)).padStart(2, '0');
  return `${mantissa}e${exponent < 0 ? '-' : '+'}${digits}`;
}
