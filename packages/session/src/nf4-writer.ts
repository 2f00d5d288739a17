import { type Nf4Tensor, toBitsandbytes } from '@qlorajs/quant-nf4';

/** Bytes of an entry's line in the header, checksum and all; its name comes on top. */
const LINE = 200;
const METADATA = 4096;

/** Where a file's bytes go. */
export interface ByteSink {
  /** All of `bytes`, at this place of the file. */
  write(bytes: Uint8Array, position: number): Promise<void>;
}

interface Entry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}

/**
 * Writes quantized weights into a safetensors file as they come, in bitsandbytes' layout, and other
 * tensors as they are. The header, which is known last, gets its room at the beginning; spaces fill it
 * up.
 */
export class Nf4Writer {
  readonly #sink: ByteSink;
  readonly #checksum: ((bytes: Uint8Array) => number) | null;
  readonly #room: number;
  readonly #entries: Record<string, Entry> = {};
  readonly #checksums: Record<string, number> = {};
  #size = 0;

  /**
   * @param names of all weights that will come
   * @param checksum of every quantized entry, kept in the metadata as `crc32`; left out: none
   */
  constructor(
    sink: ByteSink,
    names: readonly string[],
    checksum: ((bytes: Uint8Array) => number) | null = null,
  ) {
    // At most six entries a weight, and each has two lines: of the tensor and of its checksum.
    const lines = names.reduce((sum, name) => sum + 6 * (LINE + 2 * name.length), 0);
    this.#room = Math.ceil((METADATA + lines) / 4096) * 4096;
    this.#sink = sink;
    this.#checksum = checksum;
  }

  async add(name: string, tensor: Nf4Tensor): Promise<void> {
    for (const [key, { dtype, shape, data }] of Object.entries(toBitsandbytes(name, tensor))) {
      const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
      if (this.#checksum) this.#checksums[key] = this.#checksum(bytes);
      await this.copy(key, { dtype, shape }, [bytes]);
    }
  }

  /** A tensor as it is, its bytes in pieces. */
  async copy(
    name: string,
    { dtype, shape }: Pick<Entry, 'dtype' | 'shape'>,
    pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  ): Promise<void> {
    const start = this.#size;
    for await (const bytes of pieces) {
      await this.#sink.write(bytes, 8 + this.#room + this.#size);
      this.#size += bytes.length;
    }
    this.#entries[name] = { dtype, shape, data_offsets: [start, this.#size] };
  }

  /** Writes the header: the file is whole. */
  async finish(metadata: Readonly<Record<string, string>>): Promise<void> {
    const header = {
      __metadata__: {
        format: 'pt',
        ...metadata,
        ...(this.#checksum && { crc32: JSON.stringify(this.#checksums) }),
      },
      ...this.#entries,
    };
    const text = new TextEncoder().encode(JSON.stringify(header).padEnd(this.#room));
    if (text.length !== this.#room) throw new Error(`a header of ${text.length} bytes is too long`);
    const start = new DataView(new ArrayBuffer(8));
    start.setBigUint64(0, BigInt(this.#room), true);
    await this.#sink.write(new Uint8Array(start.buffer), 0);
    await this.#sink.write(text, 8);
  }
}
