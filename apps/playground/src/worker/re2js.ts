/**
 * Stands in for re2js, which would be a sixth of the page. It keeps a server or a command from a pattern
 * that never ends; here such a pattern holds up the reader's own worker, and a reload ends it.
 */
export class RE2JS {
  readonly #pattern: RegExp;

  private constructor(pattern: RegExp) {
    this.#pattern = pattern;
  }

  static compile(pattern: string): RE2JS {
    return new RE2JS(new RegExp(`^(?:${pattern.replaceAll('\\z', '$')})$`, 'u'));
  }

  /** Whether the whole text matches. */
  testExact(text: string): boolean {
    return this.#pattern.test(text);
  }

  matches(text: string): boolean {
    return this.#pattern.test(text);
  }
}
