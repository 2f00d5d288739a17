import type { Fault } from './row.js';

/** A line of a file as bytes, without its end. */
export interface Line {
  /** 1-based. */
  readonly number: number;
  readonly bytes: Uint8Array;
  /** Where it starts in the file. */
  readonly offset: number;
}

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf];

/** The lines of a file: `\n` or `\r\n`, a byte order mark at the start is skipped. */
export function* splitLines(bytes: Uint8Array): Generator<Line> {
  let start = BYTE_ORDER_MARK.every((byte, index) => bytes[index] === byte) ? 3 : 0;
  for (let number = 1; start < bytes.length; number++) {
    const found = bytes.indexOf(LINE_FEED, start);
    const next = found < 0 ? bytes.length : found;
    const end = next > start && bytes[next - 1] === CARRIAGE_RETURN ? next - 1 : next;
    yield { number, bytes: bytes.subarray(start, end), offset: start };
    start = next + 1;
  }
}

/** True if the file starts as UTF-16 or UTF-32 does: Windows programs offer it as "Unicode". */
export function looksLikeUtf16(bytes: Uint8Array): boolean {
  const [first, second] = bytes;
  const mark = (first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff);
  return mark || (bytes.length > 1 && (first === 0 || second === 0));
}

function decodes(bytes: Uint8Array): boolean {
  try {
    new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes, { stream: true });
    return true;
  } catch {
    return false;
  }
}

/** Start of the first broken sequence: the longest prefix that decodes, less its unfinished end. */
function firstBrokenByte(bytes: Uint8Array): { index: number; before: string } {
  let [good, bad] = [0, bytes.length + 1];
  while (bad - good > 1) {
    const middle = (good + bad) >> 1;
    if (middle <= bytes.length && decodes(bytes.subarray(0, middle))) good = middle;
    else bad = middle;
  }
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  const before = decoder.decode(bytes.subarray(0, good), { stream: true });
  return { index: new TextEncoder().encode(before).length, before };
}

/** The text of a line, or what is wrong with its bytes. */
export function decodeLine(line: Line): string | Fault {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(line.bytes);
  } catch {
    const { index, before } = firstBrokenByte(line.bytes);
    const byte = line.bytes[index]!.toString(16).toUpperCase().padStart(2, '0');
    return {
      code: 'DATASET_ENCODING',
      column: before.length + 1,
      message: `byte 0x${byte} at offset ${line.offset + index} of the file is not UTF-8; save the file as UTF-8 (it may be Windows-1252 or Latin-1)`,
    };
  }
}
