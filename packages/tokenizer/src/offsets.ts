import { QLoraError } from '@qlorajs/errors';
import type { TokenBytes } from './token-bytes.js';

/** Start and end (excluded) of a token in the text, in UTF-16 units. */
export type Offset = readonly [start: number, end: number];

const CONTINUATION = 0x80;

function isContinuation(byte: number): boolean {
  return (byte & 0xc0) === CONTINUATION;
}

/** For each byte, the UTF-16 index of the character that it belongs to. */
function unitsOfBytes(bytes: Uint8Array): Int32Array {
  const units = new Int32Array(bytes.length);
  let unit = -1;
  let width = 1;
  for (const [index, byte] of bytes.entries()) {
    if (!isContinuation(byte)) {
      unit += width;
      width = byte >= 0xf0 ? 2 : 1;
    }
    units[index] = unit;
  }
  // The first character starts at 0: `unit` began one short of it.
  return units;
}

/**
 * Where each token lies in the text. Byte-level tokens join to exactly the text's UTF-8 bytes, so
 * running byte counts give the places; a token that is part of a character covers all of it.
 *
 * @throws QLoraError `TOKENIZER_INTERNAL` if the tokens do not join to the text.
 */
export function tokenOffsets(text: string, ids: readonly number[], tokens: TokenBytes): Offset[] {
  const bytes = new TextEncoder().encode(text);
  const units = unitsOfBytes(bytes);
  const offsets: Offset[] = [];
  let position = 0;
  for (const id of ids) {
    const token = tokens.of(id);
    const start = position;
    for (const byte of token) {
      if (bytes[position++] !== byte) throw mismatch(text, id, start);
    }
    let end = position;
    while (end < bytes.length && isContinuation(bytes[end]!)) end++;
    offsets.push([units[start] ?? text.length, units[end] ?? text.length]);
  }
  if (position !== bytes.length) throw mismatch(text, null, position);
  return offsets;
}

function mismatch(text: string, id: number | null, byte: number): QLoraError {
  return new QLoraError(
    'TOKENIZER_INTERNAL',
    `Tokens do not join to the text at byte ${byte}: this is a fault of qlorajs, please report it with the text`,
    { kind: 'runtime', details: { id, byte, text: text.slice(0, 1000) } },
  );
}
