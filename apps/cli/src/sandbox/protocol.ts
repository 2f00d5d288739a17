/** The languages that the sandbox runs. */
export type CodeLanguage = 'python' | 'javascript';

/** What a block did. */
export interface Outcome {
  /** Lines that it printed. */
  readonly printed: readonly string[];
  /** Its error or why it was stopped; null: it ran to its end. */
  readonly error: string | null;
}
