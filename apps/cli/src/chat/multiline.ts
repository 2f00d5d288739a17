const FENCE = '"""';

/**
 * Joins lines into what was meant as one text: a line that ends in a backslash goes on in the next,
 * and between two lines of `"""` everything is kept as it is.
 */
export class Multiline {
  #lines: string[] = [];
  #fenced = false;

  /** Whether a text has begun and not ended. */
  get open(): boolean {
    return this.#fenced || this.#lines.length > 0;
  }

  /** @returns the text that this line completes, or null */
  push(line: string): string | null {
    if (this.#fenced) {
      if (line.trim() === FENCE) return this.take();
      this.#lines.push(line);
      return null;
    }
    if (!this.open && line.trim() === FENCE) {
      this.#fenced = true;
      return null;
    }
    const goesOn = line.endsWith('\\');
    this.#lines.push(goesOn ? line.slice(0, -1) : line);
    return goesOn ? null : this.take();
  }

  /** What there is so far; nothing stays. */
  take(): string {
    const text = this.#lines.join('\n').trim();
    this.#lines = [];
    this.#fenced = false;
    return text;
  }
}
