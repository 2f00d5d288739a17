import { safetensorsError } from './errors.js';

/** Random access to the bytes of one file, so that a reader of 5 GB keeps only what it asks for. */
export interface ByteSource {
  /** For messages: a path or a URL. */
  readonly name: string;
  /** In bytes. */
  readonly size: number;
  /**
   * Exactly `length` bytes from `offset`. The result may share memory with the source:
   * callers do not write to it.
   */
  read(offset: number, length: number): Promise<Uint8Array>;
  /** Releases what the source holds open; reading afterwards is an error. */
  close?(): Promise<void>;
}

/**
 * A file that is already in memory. Reads are views of `bytes`, without a copy.
 *
 * @param name for messages, `bytes` unless given
 */
export function bytesSource(bytes: Uint8Array, name = 'bytes'): ByteSource {
  return {
    name,
    size: bytes.byteLength,
    async read(offset, length) {
      return bytes.subarray(offset, offset + length);
    },
  };
}

/**
 * A `Blob` or `File` (a browser's file picker, Node's `openAsBlob`); reads fetch only their range.
 *
 * @param name for messages: unless given, a `File`'s own name or `blob`
 */
export function blobSource(blob: Blob, name?: string): ByteSource {
  return {
    name: name ?? (blob as { readonly name?: string }).name ?? 'blob',
    size: blob.size,
    async read(offset, length) {
      return new Uint8Array(await blob.slice(offset, offset + length).arrayBuffer());
    },
  };
}

/**
 * Reads from a source and trusts it no further: the answer must have the length asked for, and
 * becomes a plain `Uint8Array` (a Node `Buffer` is one too, but its `slice` does not copy).
 */
export async function readExactly(
  source: ByteSource,
  offset: number,
  length: number,
): Promise<Uint8Array> {
  const bytes = await source.read(offset, length);
  if (bytes.byteLength === length) {
    return new Uint8Array(bytes.buffer, bytes.byteOffset, length);
  }
  throw safetensorsError(
    'SAFETENSORS_SHORT_READ',
    { file: source.name },
    `asked for ${length} bytes at ${offset}, got ${bytes.byteLength}`,
    'the file changed while it was open, or its source is faulty: open it again',
    { kind: 'runtime', details: { offset, length, got: bytes.byteLength } },
  );
}
