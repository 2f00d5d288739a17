/** A dataset in three splits: JSONL files with one chat a line. */
export interface ChatDataset {
  readonly name: string;
  /** `file:` in Node, `https:` in a page that serves the package. */
  readonly train: URL;
  readonly validation: URL;
  readonly test: URL;
  /** The system message of every chat in Spanish: ask with the same one after training. */
  readonly systemPrompt: string;
  /** The system message of every chat in English. */
  readonly systemPromptEnglish: string;
}

/** One line of a {@link ChatDataset} file. */
export interface TutorRow {
  /** `pilas-01` or `en-pilas-01`: topic and number; it never changes. */
  readonly id: string;
  readonly topic: string;
  readonly level: 'basico' | 'intermedio' | 'avanzado';
  readonly language: 'es' | 'en';
  readonly skills: readonly string[];
  /** system, then user and assistant in turns, ending with the assistant. */
  readonly messages: readonly { readonly role: string; readonly content: string }[];
}

/**
 * The chats of a tutor of algorithms, in Spanish and then in English in each file. No chat and no near-duplicate of one is in two
 * splits. Rendered in the tutor format, each takes 320 tokens of phi-nano at most.
 *
 * This package opens nothing: hand the URLs to whatever reads files where you run.
 *
 * @example
 * ```ts
 * import { readFile } from 'node:fs/promises';
 * import { type TutorRow, tutorDataset } from '@qlorajs/tutor-dataset';
 *
 * const [first] = (await readFile(tutorDataset.train, 'utf8')).split('\n');
 * const row: TutorRow = JSON.parse(first!);
 * console.log(row.id, row.messages.map(({ role }) => role).join(' ')); // arboles-01 system user assistant
 * ```
 */
export const tutorDataset: ChatDataset = {
  name: 'tutor-dataset',
  // One folder up from src/ as from dist/, which is why the bundle must stay flat.
  train: new URL('../data/tutor_dataset.jsonl', import.meta.url),
  validation: new URL('../data/validation.jsonl', import.meta.url),
  test: new URL('../data/test.jsonl', import.meta.url),
  systemPrompt: 'Eres un tutor de algoritmos. Explica en español, paso a paso.',
  systemPromptEnglish: 'You are an algorithms tutor. Explain in English, step by step.',
};
