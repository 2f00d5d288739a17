/** An adapter of phi-nano and what it was trained on. */
export interface Personality {
  readonly name: string;
  /** What it does, in one line. */
  readonly summary: string;
  /** Its PEFT folder, ends in `/`: `file:` in Node, `https:` in a page that serves the package. */
  readonly adapter: URL;
  /** Its chats, as JSONL; null where they are another package's (`@qlorajs/tutor-dataset`). */
  readonly data: URL | null;
  /** Questions it was not trained on. */
  readonly questions: readonly string[];
}

/**
 * The three personalities. This package opens nothing: hand the URLs to whatever reads files where
 * you run.
 *
 * @example
 * ```ts
 * import { personalities } from '@qlorajs/personalities';
 *
 * console.log(personalities.map(({ name }) => name).join(' ')); // tutor sql stories
 * ```
 */
export const personalities: readonly Personality[] = [
  {
    name: 'tutor',
    summary: 'explains algorithms in Spanish',
    adapter: new URL('../adapters/tutor/', import.meta.url),
    data: null,
    questions: ['¿Qué es una cola?', '¿Para qué sirve una tabla hash?'],
  },
  {
    name: 'sql',
    summary: 'answers with one SQL statement and one sentence',
    adapter: new URL('../adapters/sql/', import.meta.url),
    data: new URL('../data/sql.jsonl', import.meta.url),
    questions: ['¿Cómo cuento los productos?', '¿Cómo ordeno las ventas por fecha?'],
  },
  {
    name: 'stories',
    summary: 'tells a tale of three sentences',
    adapter: new URL('../adapters/stories/', import.meta.url),
    data: new URL('../data/stories.jsonl', import.meta.url),
    questions: ['Cuéntame un cuento sobre una luna.', 'Cuéntame un cuento sobre un perro.'],
  },
];
