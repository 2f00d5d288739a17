/** Deeper than any file of a model; far from what overflows a stack. */
const MAX_DEPTH = 200;

/** How deep lists and objects lie in one another, strings skipped. */
function depthOf(text: string): number {
  let [depth, deepest] = [0, 0];
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit === 0x22) {
      while (++i < text.length && text.charCodeAt(i) !== 0x22) if (text[i] === '\\') i++;
    } else if (unit === 0x7b || unit === 0x5b) {
      deepest = Math.max(deepest, ++depth);
    } else if (unit === 0x7d || unit === 0x5d) {
      depth--;
    }
  }
  return deepest;
}

/**
 * `JSON.parse` for files that nobody vouches for. A value nested 200,000 deep is JSON, but overflows
 * the stack of whatever walks over it or prints it. `__proto__` is a key like any other, as in
 * `JSON.parse`: copy with spread or `Object.entries`, never by assignment.
 *
 * @throws SyntaxError when it is not JSON, or nested deeper than 200 levels
 */
export function parseJson(text: string): unknown {
  const value: unknown = JSON.parse(text);
  if (depthOf(text) > MAX_DEPTH)
    throw new SyntaxError(`its values are nested deeper than ${MAX_DEPTH} levels`);
  return value;
}
