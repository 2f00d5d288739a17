import { QLoraError } from '@qlorajs/errors';

/** One turn of a chat. */
export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string;
}

/** How a row was written. */
export type RowFormat =
  | 'messages'
  | 'sharegpt'
  | 'instruction'
  | 'prompt-completion'
  | 'text'
  | 'tokens';

interface RowBase {
  /** 1-based. */
  readonly line: number;
  readonly format: RowFormat;
}

/** `messages`, `conversations` or `instruction`/`input`/`output`. */
export interface ChatRow extends RowBase {
  readonly kind: 'chat';
  readonly messages: readonly ChatMessage[];
}

/** `prompt` and `completion`. */
export interface CompletionRow extends RowBase {
  readonly kind: 'completion';
  readonly prompt: string;
  readonly completion: string;
}

/** `text`. */
export interface TextRow extends RowBase {
  readonly kind: 'text';
  readonly text: string;
}

/** `input_ids` and `labels`. */
export interface TokensRow extends RowBase {
  readonly kind: 'tokens';
  readonly inputIds: readonly number[];
  /** -100 = not trained. */
  readonly labels: readonly number[];
}

/** A row of a dataset, whatever the format it was written in. */
export type Row = ChatRow | CompletionRow | TextRow | TokensRow;

/** What is wrong with a row. The message says how to mend it, and does not repeat file and line. */
export interface RowError {
  readonly file: string;
  /** 1-based. */
  readonly line: number;
  /** 1-based, in UTF-16 units, where it is known. */
  readonly column?: number;
  /** `DATASET_…`, stable between versions. */
  readonly code: string;
  readonly message: string;
}

/** A problem found where file and line are not known yet. */
export interface Fault {
  readonly code: string;
  readonly message: string;
  readonly column?: number;
}

/** `chats.jsonl:3:17: …`, as editors and terminals link it. */
export function formatRowError(error: RowError): string {
  const column = error.column === undefined ? '' : `:${error.column}`;
  return `${error.file}:${error.line}${column}: ${error.message}`;
}

/** Rows shown in the message of {@link datasetError}; all of them are in its details. */
const SHOWN = 10;

/**
 * One error for many bad rows, to throw: its message lists the first ten, `details.errors` all.
 */
export function datasetError(errors: readonly RowError[]): QLoraError {
  const shown = errors.slice(0, SHOWN).map((error) => `\n  ${formatRowError(error)}`);
  const more = errors.length > SHOWN ? `\n  … and ${errors.length - SHOWN} more` : '';
  const rows = errors.length === 1 ? 'One row' : `${errors.length} rows`;
  return new QLoraError(
    'DATASET_ROWS',
    `${rows} of the dataset cannot be used:${shown.join('')}${more}`,
    { details: { errors } },
  );
}
