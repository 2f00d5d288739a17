import { mapStrings, unusedCharacters } from './private-characters.js';

/** White space for Python's `str.strip()`, but not for JavaScript's `trim()`. */
const PYTHON_ONLY = ['\u001c', '\u001d', '\u001e', '\u001f', '\u0085'];
/** White space for `trim()`, but not for `strip()`: the byte order mark. */
const JAVASCRIPT_ONLY = '\ufeff';

/** White space in both languages, the rarest first. */
const SHARED = [
  ...['\u1680', '\u205f', '\u202f', '\u2028', '\u2029', '\u3000'],
  ...Array.from({ length: 11 }, (_, index) => String.fromCharCode(0x2000 + index)),
];

/** How a value is disguised before rendering, and the text uncovered afterwards. */
export interface Disguise {
  hide(value: unknown): unknown;
  reveal(text: string): string;
}

const NONE: Disguise = { hide: (value) => value, reveal: (text) => text };

function replacing(pairs: ReadonlyMap<string, string>): (text: string) => string {
  return (text) => text.replace(/./gsu, (character) => pairs.get(character) ?? character);
}

/**
 * Makes `trim`, `strip` and `split` take the white space that Python takes: the six characters on
 * which the two languages disagree are swapped, one for one, for characters on which they agree
 * and that occur nowhere in `texts`. Almost every chat has none of them and is left alone. (The
 * price: `tojson` prints such a control character instead of escaping it.)
 */
export function pythonWhiteSpace(texts: readonly string[], marker: string): Disguise {
  const occurs = (character: string) => texts.some((text) => text.includes(character));
  const disputed = PYTHON_ONLY.filter(occurs);
  if (disputed.length === 0 && !occurs(JAVASCRIPT_ONLY)) return NONE;
  const standIns = unusedCharacters(SHARED, texts, disputed.length);
  const hidden = new Map([[JAVASCRIPT_ONLY, marker]]);
  for (const [index, character] of disputed.entries()) {
    const standIn = standIns[index];
    if (standIn !== undefined) hidden.set(character, standIn);
  }
  const revealed = new Map([...hidden].map(([character, standIn]) => [standIn, character]));
  const hide = replacing(hidden);
  return { hide: (value) => mapStrings(value, hide), reveal: replacing(revealed) };
}
