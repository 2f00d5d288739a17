/** A number that Python holds as a float: `0` is written `0.0`. */
export class PythonFloat {
  constructor(readonly value: number) {}
}

/** `repr(float)`: the shortest digits, as in JavaScript, with Python's point and exponent. */
function formatFloat(value: number): string {
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e16)) {
    const [digits, exponent] = value.toExponential().split('e') as [string, string];
    return `${digits}e${exponent[0]}${exponent.slice(1).padStart(2, '0')}`;
  }
  const text = String(value);
  return text.includes('.') ? text : `${text}.0`;
}

/** json.dumps escapes everything outside ASCII. */
function formatString(value: string): string {
  return JSON.stringify(value).replace(
    /[\u007f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/**
 * Text of a plain value as Python's `json.dumps(value, indent=2, sort_keys=True)` writes it, so that
 * a configuration that went through here and one that PEFT wrote are the same bytes.
 */
export function pythonJson(value: unknown, indent = ''): string {
  if (value instanceof PythonFloat) return formatFloat(value.value);
  if (typeof value === 'string') return formatString(value);
  if (typeof value === 'number' && !Number.isInteger(value)) return formatFloat(value);
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  const inner = `${indent}  `;
  const items = Array.isArray(value)
    ? value.map((each) => pythonJson(each, inner))
    : Object.entries(value)
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([key, each]) => `${formatString(key)}: ${pythonJson(each, inner)}`);
  const [open, close] = Array.isArray(value) ? '[]' : '{}';
  if (items.length === 0) return `${open}${close}`;
  return `${open}\n${items.map((item) => inner + item).join(',\n')}\n${indent}${close}`;
}
