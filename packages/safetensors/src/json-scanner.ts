import { quote } from './errors.js';
import { hasLoneSurrogate } from './utf8-order.js';

/** What a scanner refuses: bad grammar or a wrong type, a key twice, a number beyond 2^53 - 1. */
export type JsonFault = 'syntax' | 'duplicate' | 'overflow';

const ESCAPES: ReadonlyMap<string, string> = new Map([
  ['"', '"'],
  ['\\', '\\'],
  ['/', '/'],
  ['b', '\b'],
  ['f', '\f'],
  ['n', '\n'],
  ['r', '\r'],
  ['t', '\t'],
]);

/** Deep enough for any index that a tool writes, shallow enough for any call stack. */
const MAX_DEPTH = 64;

const ZERO = 0x30;
const NINE = 0x39;

/**
 * Pulls values of known types out of JSON text. `JSON.parse` cannot serve here: it keeps the
 * last of two equal keys, so two readers of one file could see different tensors, and it turns
 * 2^53 + 1 into another number without a word. Keys are only ever strings handed to a callback:
 * none becomes a property, `__proto__` least of all.
 */
export class JsonScanner {
  private at = 0;

  /** @param fail must throw; it gets the kind of fault and a description with its position. */
  constructor(
    private readonly text: string,
    private readonly fail: (fault: JsonFault, problem: string) => never,
  ) {}

  /** Reads `{…}`; `visit` must consume the value of each key. */
  object(visit: (key: string) => void): void {
    const seen = new Set<string>();
    this.list('{', '}', 'an object', () => {
      const key = this.string('a key');
      if (seen.has(key)) this.fail('duplicate', `key ${quote(key)} appears twice`);
      seen.add(key);
      this.space();
      if (this.text[this.at] !== ':') this.unexpected('":"');
      this.at++;
      visit(key);
    });
  }

  /** Reads `[…]`; `visit` must consume each element. */
  array(visit: () => void): void {
    this.list('[', ']', 'an array', visit);
  }

  /** Reads a string without raw control characters or halves of surrogate pairs. */
  string(what = 'a string'): string {
    this.space();
    if (this.text[this.at] !== '"') this.unexpected(what);
    const begin = ++this.at;
    let from = begin;
    let built = '';
    for (;;) {
      const unit = this.text.charCodeAt(this.at);
      if (unit === 0x22) break;
      if (unit === 0x5c) {
        built += this.text.slice(from, this.at) + this.escape();
        from = this.at;
      } else if (unit >= 0x20) {
        this.at++;
      } else {
        this.unexpected('the end of a string'); // a control character, or NaN at the end
      }
    }
    const value = built + this.text.slice(from, this.at);
    // The text was decoded from UTF-8: only an escape can bring half a pair in.
    if (built !== '' && hasLoneSurrogate(value)) {
      this.fail('syntax', `half a surrogate pair in the string at character ${begin - 1}`);
    }
    this.at++;
    return value;
  }

  /** Reads 0, 1, 2, … without sign, fraction, exponent or leading zero. */
  integer(): number {
    this.space();
    const begin = this.at;
    while (this.digit()) this.at++;
    const digits = this.text.slice(begin, this.at);
    if (digits === '') this.unexpected('a whole number of 0 or more');
    if (digits.length > 1 && digits.startsWith('0')) {
      this.at = begin;
      this.unexpected('a number without leading zeros');
    }
    if (/[.eE]/.test(this.text.charAt(this.at))) this.unexpected('a whole number');
    const value = Number(digits);
    if (value > Number.MAX_SAFE_INTEGER) {
      this.fail('overflow', `the number at character ${begin} is above 2^53 - 1`);
    }
    return value;
  }

  /** Passes over a value of any type. */
  skip(depth = 0): void {
    if (depth > MAX_DEPTH) this.fail('syntax', `nested deeper than ${MAX_DEPTH} levels`);
    this.space();
    const first = this.text.charAt(this.at);
    if (first === '{') this.object(() => this.skip(depth + 1));
    else if (first === '[') this.array(() => this.skip(depth + 1));
    else if (first === '"') this.string();
    else this.literal();
  }

  /** Demands that only the given padding follows. */
  end(padding: RegExp): void {
    padding.lastIndex = this.at;
    if (!padding.test(this.text)) this.unexpected('the end of the JSON');
  }

  private list(open: string, close: string, what: string, visit: () => void): void {
    this.space();
    if (this.text[this.at] !== open) this.unexpected(what);
    this.at++;
    this.space();
    if (this.text[this.at] === close) {
      this.at++;
      return;
    }
    for (;;) {
      visit();
      this.space();
      const next = this.text[this.at];
      if (next !== ',' && next !== close) this.unexpected(`"," or "${close}"`);
      this.at++;
      if (next === close) return;
    }
  }

  private literal(): void {
    const pattern = /(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)(?![\w.+-])/y;
    pattern.lastIndex = this.at;
    if (!pattern.test(this.text)) this.unexpected('a value');
    this.at = pattern.lastIndex;
  }

  private escape(): string {
    const letter = this.text.charAt(this.at + 1);
    if (letter === 'u') {
      const digits = this.text.slice(this.at + 2, this.at + 6);
      if (!/^[0-9a-fA-F]{4}$/.test(digits)) this.unexpected('an escape of four hex digits');
      this.at += 6;
      return String.fromCharCode(Number.parseInt(digits, 16));
    }
    const value = ESCAPES.get(letter);
    if (value === undefined) return this.unexpected('a JSON escape');
    this.at += 2;
    return value;
  }

  private digit(): boolean {
    const unit = this.text.charCodeAt(this.at);
    return unit >= ZERO && unit <= NINE;
  }

  private space(): void {
    for (;;) {
      const unit = this.text.charCodeAt(this.at);
      if (unit !== 0x20 && unit !== 0x0a && unit !== 0x0d && unit !== 0x09) return;
      this.at++;
    }
  }

  private unexpected(what: string): never {
    const found =
      this.at < this.text.length
        ? quote(String.fromCodePoint(this.text.codePointAt(this.at)!))
        : 'the end';
    return this.fail('syntax', `expected ${what} at character ${this.at}, found ${found}`);
  }
}
