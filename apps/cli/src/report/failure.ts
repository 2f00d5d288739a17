import { isQLoraError } from '@qlorajs/errors';

/** Exit codes of the command. */
export const EXIT = { done: 0, failed: 1, wrongInput: 2, interrupted: 130 } as const;

/** What a failure becomes. */
export interface Failure {
  readonly exitCode: number;
  readonly text: string;
  readonly document: { readonly error: Readonly<Record<string, unknown>> };
}

/**
 * Exit code, lines for stderr and document for `--json` of whatever was thrown.
 * @param verbose adds the stack and the cause
 */
export function describeFailure(thrown: unknown, verbose: boolean): Failure {
  if ((thrown as Error)?.name === 'AbortError')
    return {
      exitCode: EXIT.interrupted,
      text: 'interrupted\n',
      document: { error: { code: 'INTERRUPTED', message: 'interrupted' } },
    };
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  const known = isQLoraError(error);
  const code = known ? error.code : 'UNEXPECTED';
  const hint = known || verbose ? '' : '\nrun it again with --verbose to see where';
  const trace = verbose ? `\n${error.stack}${traceOf(error.cause)}` : '';
  return {
    exitCode: known && error.kind === 'input' ? EXIT.wrongInput : EXIT.failed,
    text: `error: ${error.message} [${code}]${hint}${trace}\n`,
    document: { error: { code, message: error.message, details: known ? error.details : {} } },
  };
}

function traceOf(cause: unknown): string {
  return cause instanceof Error ? `\ncaused by: ${cause.stack}${traceOf(cause.cause)}` : '';
}
