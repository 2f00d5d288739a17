/** Where a text stops being JSON. */
export interface JsonError {
  /** 0-based, in UTF-16 units. */
  readonly index: number;
  /** What is wrong and how to mend it. */
  readonly reason: string;
}

class Stop extends Error {
  constructor(
    readonly index: number,
    readonly reason: string,
  ) {
    super(reason);
  }
}

const SPACE = /[ \t\n\r]*/y;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const WORD = /[\p{L}_$][\p{L}\p{N}_$]*/uy;
const PLAIN = /[^"\\]*/y;
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;
const MAX_DEPTH = 500;

class Scanner {
  private position = 0;

  constructor(private readonly text: string) {}

  private match(pattern: RegExp): string | null {
    pattern.lastIndex = this.position;
    const found = pattern.exec(this.text)?.[0] ?? null;
    if (found !== null) this.position += found.length;
    return found;
  }

  private peek(): string {
    this.match(SPACE);
    return this.text[this.position] ?? '';
  }

  private stop(reason: string, index = this.position): never {
    const end = index >= this.text.length;
    throw new Stop(index, end ? 'the line ends too early; is the row on one line?' : reason);
  }

  private string(): void {
    const start = this.position++;
    for (;;) {
      const from = this.position;
      const plain = this.match(PLAIN)!;
      const raw = [...plain].findIndex((character) => character < ' ');
      if (raw >= 0) {
        const index = from + [...plain].slice(0, raw).join('').length;
        this.stop('a raw tab or control character in a string; write \\t or \\u00XX', index);
      }
      const next = this.text[this.position];
      if (next === undefined) {
        throw new Stop(start, 'a string that is never closed; add the closing quote');
      }
      if (next === '"') break;
      if (this.match(ESCAPE) === null) this.stop('an unknown escape; write \\\\ for a backslash');
    }
    this.position++;
  }

  private key(): void {
    const next = this.peek();
    if (next === '}') this.stop('a comma before "}"; take it out');
    if (next === "'") this.stop('single quotes; JSON takes double quotes');
    if (next !== '"') this.stop('a key is due here, in double quotes');
    this.string();
    if (this.peek() !== ':') this.stop('a colon is due here');
    this.position++;
  }

  private members(close: '}' | ']', member: () => void): void {
    this.position++;
    if (this.peek() === close) {
      this.position++;
      return;
    }
    for (;;) {
      member();
      const next = this.peek();
      if (next !== ',' && next !== close) this.stop(`a comma or "${close}" is due here`);
      this.position++;
      if (next === close) return;
    }
  }

  private value(depth: number): void {
    const next = this.peek();
    if (depth > MAX_DEPTH) this.stop('lists or objects nested too deep');
    if (next === '"') this.string();
    else if (next === '{') {
      this.members('}', () => {
        this.key();
        this.value(depth + 1);
      });
    } else if (next === '[') this.members(']', () => this.value(depth + 1));
    else this.scalar(next);
  }

  private scalar(next: string): void {
    if (this.match(NUMBER) !== null) return;
    const start = this.position;
    const word = this.match(WORD);
    if (word === 'true' || word === 'false' || word === 'null') return;
    if (word !== null) this.stop(`${word} is no JSON; write true, false, null or "text"`, start);
    if (next === "'") this.stop('single quotes; JSON takes double quotes');
    if (next === ']') this.stop('a comma before "]"; take it out');
    this.stop('a value is due here');
  }

  run(): void {
    this.value(0);
    if (this.peek() !== '') this.stop('text after the end of the object; a line holds one row');
  }
}

/**
 * Finds where a text stops being JSON, and why. Engines word their own messages differently and
 * often without a position. Null if it is JSON after all.
 */
export function findJsonError(text: string): JsonError | null {
  try {
    new Scanner(text).run();
    return null;
  } catch (error) {
    if (!(error instanceof Stop)) throw error;
    return { index: error.index, reason: error.reason };
  }
}
