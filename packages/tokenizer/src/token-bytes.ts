import { bytesOfEntry } from './byte-level.js';
import type { AddedToken } from './tokenizer-json.js';

/** The bytes of every token, one after the other. */
export interface TokenBytes {
  /** Highest id + 1. */
  readonly size: number;
  /** Bytes of a token; empty for an id without one. */
  of(id: number): Uint8Array;
}

/** Lays out the bytes of a vocabulary and its added tokens. */
export function layOutBytes(
  vocab: ReadonlyMap<string, number>,
  addedTokens: readonly AddedToken[],
): TokenBytes {
  const utf8 = new TextEncoder();
  const pieces: Uint8Array[] = [];
  for (const [token, id] of vocab) pieces[id] = bytesOfEntry(token);
  // An added token is text, also where its characters could stand for bytes.
  for (const { id, content } of addedTokens) pieces[id] = utf8.encode(content);
  const starts = new Int32Array(pieces.length + 1);
  for (let id = 0; id < pieces.length; id++) {
    starts[id + 1] = starts[id]! + (pieces[id]?.length ?? 0);
  }
  const bytes = new Uint8Array(starts[pieces.length]!);
  for (const [id, piece] of pieces.entries()) if (piece !== undefined) bytes.set(piece, starts[id]);
  return {
    size: pieces.length,
    of: (id) => bytes.subarray(starts[id] ?? 0, starts[id + 1] ?? 0),
  };
}
