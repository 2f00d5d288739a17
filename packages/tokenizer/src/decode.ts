import type { TokenBytes } from './token-bytes.js';

/** Options of decoding. */
export interface DecodeOptions {
  /** Leaves special tokens such as `<|endoftext|>` out. Default false. */
  readonly skipSpecialTokens?: boolean;
}

/** Turns tokens into text as they come. */
export interface StreamDecoder {
  /** The text that this token completes; bytes of an unfinished character are held back. */
  push(id: number): string;
  /** What was held back, as U+FFFD; the decoder then starts afresh. */
  flush(): string;
}

/** A byte order mark is text like any other: without `ignoreBOM` the decoder would swallow it. */
function utf8() {
  return new TextDecoder('utf-8', { ignoreBOM: true });
}

/** Decodes ids; ids without a token give nothing. */
export function decodeIds(
  ids: Iterable<number>,
  tokens: TokenBytes,
  skipped: ReadonlySet<number>,
): string {
  const pieces: Uint8Array[] = [];
  for (const id of ids) if (!skipped.has(id)) pieces.push(tokens.of(id));
  const bytes = new Uint8Array(pieces.reduce((length, piece) => length + piece.length, 0));
  let position = 0;
  for (const piece of pieces) {
    bytes.set(piece, position);
    position += piece.length;
  }
  return utf8().decode(bytes);
}

/** Decodes one id at a time: the pushed texts and the flushed one join to what {@link decodeIds} gives. */
export function createStreamDecoder(
  tokens: TokenBytes,
  skipped: ReadonlySet<number>,
): StreamDecoder {
  const decoder = utf8();
  return {
    push: (id) => (skipped.has(id) ? '' : decoder.decode(tokens.of(id), { stream: true })),
    flush: () => decoder.decode(),
  };
}
