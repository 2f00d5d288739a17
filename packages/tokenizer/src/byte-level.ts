import { ByteLevelPreTokenizer } from '@huggingface/tokenizers';
import { LETTERS, NUMBERS } from './unicode-classes.js';

function hex(code: number): string {
  return `\\u{${code.toString(16)}}`;
}

function classBody(deltas: string): string {
  const steps = deltas.split(',').map((step) => Number.parseInt(step, 36));
  let body = '';
  let end = 0;
  for (let index = 0; index < steps.length; index += 2) {
    const start = end + steps[index]!;
    end = start + steps[index + 1]!;
    body += `${hex(start)}-${hex(end)}`;
  }
  return body;
}

/** Unicode's White_Space: unlike JavaScript's `\s` with U+0085 and without U+FEFF. */
const SPACE = '\\t-\\r\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';

function wordPattern(): RegExp {
  const letter = classBody(LETTERS);
  const number = classBody(NUMBERS);
  return new RegExp(
    `'s|'t|'re|'ve|'m|'ll|'d| ?[${letter}]+| ?[${number}]+| ?[^${SPACE}${letter}${number}]+|[${SPACE}]+(?![^${SPACE}])|[${SPACE}]+`,
    'gu',
  );
}

/**
 * GPT-2's pre-tokenizer, with the character classes of the Rust tokenizers spelled out:
 * JavaScript's own `\p{L}` changes with the engine's Unicode version and its `\s` is another set.
 */
export function exactPreTokenizer(): ByteLevelPreTokenizer {
  const preTokenizer = new ByteLevelPreTokenizer({
    type: 'ByteLevel',
    add_prefix_space: false,
    trim_offsets: true,
    use_regex: true,
  });
  preTokenizer.pattern = wordPattern();
  return preTokenizer;
}

/** The 256 characters that stand for bytes in a byte-level vocabulary, by byte (GPT-2's `bytes_to_unicode`). */
export const BYTE_CHARACTERS: readonly string[] = (() => {
  const characters: string[] = [];
  let next = 0x100;
  for (let byte = 0; byte < 256; byte++) {
    const printable =
      (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || (byte >= 174 && byte <= 255);
    characters.push(String.fromCharCode(printable ? byte : next++));
  }
  return characters;
})();

const BYTE_OF = new Map(BYTE_CHARACTERS.map((character, byte) => [character, byte]));
const utf8 = new TextEncoder();

/** The bytes of a vocabulary entry; one that is not written in byte characters stands for itself. */
export function bytesOfEntry(entry: string): Uint8Array {
  const bytes = Array.from(entry, (character) => BYTE_OF.get(character));
  return bytes.every((byte) => byte !== undefined) ? Uint8Array.from(bytes) : utf8.encode(entry);
}
