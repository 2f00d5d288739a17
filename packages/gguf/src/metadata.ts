/** A value of a GGUF file's metadata, with its type (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md). */
export type GgufValue =
  | { readonly type: 'u32' | 'i32' | 'f32'; readonly value: number }
  | { readonly type: 'bool'; readonly value: boolean }
  | { readonly type: 'string'; readonly value: string }
  | { readonly type: 'strings'; readonly value: readonly string[] }
  | { readonly type: 'i32s'; readonly value: readonly number[] };

/** Metadata by key, in the order of the file. */
export type GgufMetadata = ReadonlyMap<string, GgufValue>;

const CODES = { u32: 4, i32: 5, f32: 6, bool: 7, string: 8 } as const;
const ARRAY = 9;

/** Little-endian bytes, growing. */
export class ByteWriter {
  #bytes = new Uint8Array(1 << 16);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  #reserve(count: number): number {
    const at = this.#length;
    this.#length += count;
    if (this.#length > this.#bytes.length) {
      const larger = new Uint8Array(2 * this.#length);
      larger.set(this.#bytes);
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    return at;
  }

  u32(value: number): void {
    const at = this.#reserve(4);
    this.#view.setUint32(at, value, true);
  }

  i32(value: number): void {
    const at = this.#reserve(4);
    this.#view.setInt32(at, value, true);
  }

  f32(value: number): void {
    const at = this.#reserve(4);
    this.#view.setFloat32(at, value, true);
  }

  u64(value: number): void {
    const at = this.#reserve(8);
    this.#view.setBigUint64(at, BigInt(value), true);
  }

  u8(value: number): void {
    const at = this.#reserve(1);
    this.#bytes[at] = value;
  }

  string(text: string): void {
    const bytes = new TextEncoder().encode(text);
    this.u64(bytes.length);
    const at = this.#reserve(bytes.length);
    this.#bytes.set(bytes, at);
  }

  /** Zeros up to a multiple. */
  align(multiple: number): void {
    this.#reserve((multiple - (this.#length % multiple)) % multiple);
  }

  bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }
}

/** Appends one entry: key, type, value. */
export function writeEntry(out: ByteWriter, key: string, entry: GgufValue): void {
  out.string(key);
  if (entry.type === 'strings' || entry.type === 'i32s') {
    out.u32(ARRAY);
    out.u32(entry.type === 'strings' ? CODES.string : CODES.i32);
    out.u64(entry.value.length);
    for (const each of entry.value)
      if (typeof each === 'string') out.string(each);
      else out.i32(each);
    return;
  }
  out.u32(CODES[entry.type]);
  if (entry.type === 'string') out.string(entry.value);
  else if (entry.type === 'bool') out.u8(entry.value ? 1 : 0);
  else out[entry.type](entry.value);
}
