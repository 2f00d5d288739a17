import { parseJson } from '@qlorajs/errors';
import { toRow } from './formats.js';
import { findJsonError } from './json-error.js';
import { decodeLine, type Line, looksLikeUtf16, splitLines } from './lines.js';
import type { Fault, Row, RowError } from './row.js';

function jsonFault(text: string): Fault {
  const found = findJsonError(text);
  return {
    code: 'DATASET_JSON',
    message: `not JSON: ${found?.reason ?? 'the engine refuses it'}`,
    ...(found && { column: found.index + 1 }),
  };
}

function readLine(line: Line): Row | Fault | null {
  const text = decodeLine(line);
  if (typeof text !== 'string') return text;
  if (text.trim() === '') return null;
  let value: unknown;
  try {
    value = parseJson(text);
  } catch {
    return jsonFault(text);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return {
      code: 'DATASET_NOT_OBJECT',
      message: 'a row is a JSON object such as {"messages": […]}; put each on a line of its own',
    };
  }
  return toRow(value, line.number);
}

/** A whole file in another shape gets one error instead of one a line. */
function fileFault(bytes: Uint8Array): Fault | null {
  if (looksLikeUtf16(bytes)) {
    return { code: 'DATASET_ENCODING', message: 'the file is UTF-16; save it as UTF-8' };
  }
  for (const line of splitLines(bytes)) {
    const text = decodeLine(line);
    if (typeof text !== 'string') return null;
    const start = text.trim();
    if (start === '') continue;
    const spread = start === '[' || start === '{';
    if (!spread && !start.startsWith('[{')) return null;
    return {
      code: 'DATASET_NOT_JSONL',
      message:
        'the file is JSON, not JSON Lines: each row must be an object on one line (jq -c ".[]" data.json > data.jsonl turns a list into rows)',
    };
  }
  return { code: 'DATASET_NO_ROWS', message: 'the file has no rows; write one JSON object a line' };
}

/**
 * Reads a dataset in JSON Lines, in any of the formats of {@link RowFormat}, mixed if need be.
 * It never throws for what is in the file: every bad row is listed with its line, its first problem
 * and the remedy. A byte order mark, CRLF, blank lines, unknown keys and duplicate keys (the last
 * counts) are tolerated.
 *
 * A chat is an optional system turn, then user and assistant in turn, with at least one answer;
 * it may end with a question.
 *
 * @example
 * ```ts
 * import { formatRowError, readJsonl } from '@qlorajs/dataset';
 *
 * const bytes = new TextEncoder().encode('{"text": "A queue."}\n{"messages": [{"role": "bot"}]}\n');
 * const { rows, errors } = readJsonl(bytes, { file: 'data.jsonl' });
 * console.log(rows.length, errors.map(formatRowError)[0]); // 1 data.jsonl:2: messages[0].content is missing; add it as text
 * ```
 */
export function readJsonl(
  bytes: Uint8Array,
  options: { readonly file: string },
): { rows: Row[]; errors: RowError[] } {
  const { file } = options;
  const whole = fileFault(bytes);
  if (whole !== null) return { rows: [], errors: [{ file, line: 1, ...whole }] };
  const rows: Row[] = [];
  const errors: RowError[] = [];
  for (const line of splitLines(bytes)) {
    const row = readLine(line);
    if (row === null) continue;
    if ('code' in row) errors.push({ file, line: line.number, ...row });
    else rows.push(row);
  }
  return { rows, errors };
}
