import { type FileHandle, open } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { type Nf4Tensor, toBitsandbytes } from '@qlorajs/quant-nf4';

/** Bytes of an entry's line in the header, checksum and all; its name comes on top. */
const LINE = 200;
const METADATA = 4096;

interface Entry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}

/**
 * Writes quantized weights into a safetensors file as they come, in bitsandbytes' layout. The header,
 * which is known last, gets its room at the beginning; spaces fill it up.
 */
export class Nf4Writer {
  readonly #handle: FileHandle;
  readonly #room: number;
  readonly #entries: Record<string, Entry> = {};
  readonly #checksums: Record<string, number> = {};
  #size = 0;

  private constructor(handle: FileHandle, room: number) {
    this.#handle = handle;
    this.#room = room;
  }

  /** @param names of all weights that will come */
  static async create(path: string, names: readonly string[]): Promise<Nf4Writer> {
    // At most six entries a weight, and each has two lines: of the tensor and of its checksum.
    const lines = names.reduce((sum, name) => sum + 6 * (LINE + 2 * name.length), 0);
    const room = Math.ceil((METADATA + lines) / 4096) * 4096;
    return new Nf4Writer(await open(path, 'w'), room);
  }

  async add(name: string, tensor: Nf4Tensor): Promise<void> {
    for (const [key, { dtype, shape, data }] of Object.entries(toBitsandbytes(name, tensor))) {
      const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
      const end = this.#size + bytes.length;
      this.#entries[key] = { dtype, shape, data_offsets: [this.#size, end] };
      this.#checksums[key] = crc32(bytes);
      await this.#write(bytes, 8 + this.#room + this.#size);
      this.#size = end;
    }
  }

  /** Writes the header and closes. */
  async finish(metadata: Readonly<Record<string, string>>): Promise<void> {
    const header = {
      __metadata__: { format: 'pt', ...metadata, crc32: JSON.stringify(this.#checksums) },
      ...this.#entries,
    };
    const text = new TextEncoder().encode(JSON.stringify(header).padEnd(this.#room));
    if (text.length !== this.#room) throw new Error(`a header of ${text.length} bytes is too long`);
    const start = new DataView(new ArrayBuffer(8));
    start.setBigUint64(0, BigInt(this.#room), true);
    await this.#write(new Uint8Array(start.buffer), 0);
    await this.#write(text, 8);
    await this.#handle.sync();
    await this.#handle.close();
  }

  /** Closes without a header. */
  async abandon(): Promise<void> {
    await this.#handle.close().catch(() => {});
  }

  async #write(bytes: Uint8Array, position: number): Promise<void> {
    for (let done = 0; done < bytes.length; ) {
      const { bytesWritten } = await this.#handle.write(bytes, done, undefined, position + done);
      done += bytesWritten;
    }
  }
}
