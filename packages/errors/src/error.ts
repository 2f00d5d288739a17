/**
 * Who can mend it: `input` is a wrong file, flag or value (the CLI exits with 2),
 * `runtime` is work that failed (exit 1).
 */
export type QLoraErrorKind = 'input' | 'runtime';

/** What a {@link QLoraError} carries beside its message. */
export interface QLoraErrorOptions {
  /** Defaults to `input`. */
  readonly kind?: QLoraErrorKind;
  /** Plain, printable values: file, line, tensor, shapes. */
  readonly details?: Readonly<Record<string, unknown>>;
  /** The error underneath, kept for `--verbose`. */
  readonly cause?: unknown;
}

const BRAND = Symbol.for('qlorajs.error');

/**
 * The error that every package of qlorajs throws: a stable `code`, plain `details`,
 * and a message that says what is wrong, where, and how to mend it.
 *
 * @example
 * ```ts
 * import { isQLoraError, QLoraError } from '@qlorajs/errors';
 *
 * try {
 *   throw new QLoraError('DATASET_ROW', 'chats.jsonl:3: content is empty; write the answer or drop the row', {
 *     details: { file: 'chats.jsonl', line: 3 },
 *   });
 * } catch (error) {
 *   if (isQLoraError(error)) console.log(error.code, error.details.line); // DATASET_ROW 3
 * }
 * ```
 */
export class QLoraError extends Error {
  /** Upper snake case, stable between versions: match on this, never on the message. */
  readonly code: string;
  readonly kind: QLoraErrorKind;
  readonly details: Readonly<Record<string, unknown>>;
  /** @internal A registered symbol, so that two copies of this package recognise each other's errors. */
  readonly [BRAND] = true;

  constructor(code: string, message: string, options: QLoraErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'QLoraError';
    this.code = code;
    this.kind = options.kind ?? 'input';
    this.details = options.details ?? {};
  }
}

/** True for a {@link QLoraError}, also one made by another copy of this package. */
export function isQLoraError(value: unknown): value is QLoraError {
  return value instanceof Error && (value as { [BRAND]?: unknown })[BRAND] === true;
}
