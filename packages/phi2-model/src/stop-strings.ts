/**
 * Finds the first of some texts in a stream and lets nothing of it through: what could be the
 * beginning of one is held back until the next piece decides.
 *
 * @example
 * ```ts
 * import { StopStrings } from '@qlorajs/phi2-model';
 *
 * const stop = new StopStrings(['END']);
 * console.log(stop.push('one E') + stop.push('N two EN') + stop.push('D three'), stop.found); // one EN two  END
 * ```
 */
export class StopStrings {
  readonly #texts: readonly string[];
  #held = '';
  #found: string | null = null;

  constructor(texts: readonly string[]) {
    this.#texts = texts.filter((text) => text !== '');
  }

  /** The text that ended the stream, if one did. */
  get found(): string | null {
    return this.#found;
  }

  /** Takes a piece and returns what is certainly before any stop text. */
  push(piece: string): string {
    if (this.#found !== null) return '';
    const text = this.#held + piece;
    const first = this.#firstIn(text);
    if (first !== null) {
      this.#found = first.text;
      this.#held = '';
      return text.slice(0, first.at);
    }
    const held = this.#beginningAtEnd(text);
    this.#held = text.slice(text.length - held);
    return text.slice(0, text.length - held);
  }

  /** What was held back, once the stream has ended by itself. */
  flush(): string {
    const held = this.#held;
    this.#held = '';
    return held;
  }

  #firstIn(text: string): { readonly text: string; readonly at: number } | null {
    let first: { text: string; at: number } | null = null;
    for (const each of this.#texts) {
      const at = text.indexOf(each);
      if (at >= 0 && (first === null || at < first.at)) first = { text: each, at };
    }
    return first;
  }

  /** Length of the longest end of `text` that begins a stop text. */
  #beginningAtEnd(text: string): number {
    let longest = 0;
    for (const each of this.#texts)
      for (let length = Math.min(each.length - 1, text.length); length > longest; length--)
        if (text.endsWith(each.slice(0, length))) longest = length;
    return longest;
  }
}
