import { type FileHandle, open, rm } from 'node:fs/promises';

/** A place in a {@link ScratchFile}. */
export interface Place {
  readonly offset: number;
  readonly length: number;
}

/** A file for what does not fit in memory: written once from front to back, read at random. */
export class ScratchFile {
  readonly #path: string;
  readonly #handle: FileHandle;
  #size = 0;

  private constructor(path: string, handle: FileHandle) {
    this.#path = path;
    this.#handle = handle;
  }

  static async create(path: string): Promise<ScratchFile> {
    return new ScratchFile(path, await open(path, 'w+'));
  }

  async append(data: ArrayBufferView): Promise<Place> {
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    const place = { offset: this.#size, length: bytes.length };
    for (let done = 0; done < bytes.length; ) {
      const { bytesWritten } = await this.#handle.write(bytes, done);
      done += bytesWritten;
    }
    this.#size += bytes.length;
    return place;
  }

  async read({ offset, length }: Place): Promise<Uint8Array> {
    const bytes = new Uint8Array(length);
    for (let done = 0; done < length; ) {
      const { bytesRead } = await this.#handle.read(bytes, done, length - done, offset + done);
      if (bytesRead === 0) throw new Error(`${this.#path} ended early`);
      done += bytesRead;
    }
    return bytes;
  }

  /** Closes and deletes it. */
  async remove(): Promise<void> {
    await this.#handle.close();
    await rm(this.#path, { force: true });
  }
}
