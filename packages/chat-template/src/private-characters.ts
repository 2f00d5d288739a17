/** U+FDD0..U+FDEF are reserved for internal use and are never text; some private use follows for the stubborn case. */
export const MARKER_CANDIDATES: readonly string[] = [
  ...Array.from({ length: 32 }, (_, index) => String.fromCharCode(0xfdd0 + index)),
  ...Array.from({ length: 256 }, (_, index) => String.fromCharCode(0xe000 + index)),
];

/** `count` of the candidates that occur in none of the texts (fewer if there are not that many). */
export function unusedCharacters(
  candidates: readonly string[],
  texts: readonly string[],
  count: number,
): string[] {
  const unused: string[] = [];
  for (const character of candidates) {
    if (unused.length === count) break;
    if (!texts.some((text) => text.includes(character))) unused.push(character);
  }
  return unused;
}

/** Every string inside a JSON-like value, keys included. */
export function stringsIn(value: unknown, found: string[] = []): string[] {
  if (typeof value === 'string') found.push(value);
  else if (typeof value === 'object' && value !== null) {
    for (const [key, item] of Object.entries(value)) {
      if (!Array.isArray(value)) found.push(key);
      stringsIn(item, found);
    }
  }
  return found;
}

/** A copy of a JSON-like value with every string in it, keys excepted, passed through `map`. */
export function mapStrings(value: unknown, map: (text: string) => string): unknown {
  if (typeof value === 'string') return map(value);
  if (Array.isArray(value)) return value.map((item) => mapStrings(item, map));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, mapStrings(item, map)]),
  );
}
