/** One `{% … %}` or `{{ … }}` of a template. */
export interface Tag {
  readonly kind: 'statement' | 'expression';
  /** First word of a statement: `if`, `endfor`, `generation`. */
  readonly name: string;
  /** UTF-16 offsets of the whole tag in the source. */
  readonly start: number;
  readonly end: number;
  /** The tag as written, braces included. */
  readonly source: string;
}

const OPENING = /\{[%{#]/g;
/** A quoted string, skipped whole because it may hold what looks like the end of the tag. */
const STRING = /'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"/sy;

function tagEnd(source: string, from: number, closing: string): number {
  let position = from;
  let depth = 0;
  while (position < source.length) {
    if (depth === 0 && source.startsWith(closing, position)) return position + closing.length;
    STRING.lastIndex = position;
    const string = closing === '#}' ? null : STRING.exec(source);
    if (string !== null) {
      position += string[0].length;
      continue;
    }
    // A quote that is never closed: neither is the tag, and looking on would take a square of time.
    if (closing !== '#}' && /['"]/.test(source[position]!)) return -1;
    // `{{ {"a": {}} }}`: braces of a literal do not close the expression.
    if (closing === '}}' && source[position] === '{') depth++;
    if (closing === '}}' && source[position] === '}' && depth > 0) depth--;
    position++;
  }
  return -1;
}

/** Thrown with the offset of a tag that never ends. */
export class UnclosedTag extends Error {
  constructor(readonly offset: number) {
    super('a tag that never ends');
  }
}

/**
 * The tags of a Jinja template in order; comments are skipped.
 *
 * @throws UnclosedTag
 */
export function scanTags(source: string): Tag[] {
  const tags: Tag[] = [];
  OPENING.lastIndex = 0;
  for (let match = OPENING.exec(source); match !== null; match = OPENING.exec(source)) {
    const start = match.index;
    const closing = { '{%': '%}', '{{': '}}', '{#': '#}' }[match[0]]!;
    const end = tagEnd(source, start + 2, closing);
    if (end < 0) throw new UnclosedTag(start);
    OPENING.lastIndex = end;
    if (closing === '#}') continue;
    const text = source.slice(start, end);
    const name = closing === '%}' ? (/^\{%[-+]?\s*(\w*)/.exec(text)?.[1] ?? '') : '';
    const kind = closing === '%}' ? 'statement' : 'expression';
    tags.push({ kind, name, start, end, source: text });
  }
  return tags;
}
