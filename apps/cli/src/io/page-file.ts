import { type FileHandle, mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { PageStore } from '@qlorajs/paged-optim';

/** Pages in one file, each at a place of its own; it is deleted at the end. */
export class PageFile implements PageStore {
  readonly #path: string;
  readonly #handle: FileHandle;
  readonly #places = new Map<string, { readonly offset: number; readonly length: number }>();
  #size = 0;

  private constructor(path: string, handle: FileHandle) {
    this.#path = path;
    this.#handle = handle;
  }

  static async create(folder: string, name: string): Promise<PageFile> {
    await mkdir(folder, { recursive: true });
    const path = join(folder, `qlora-${process.pid}-${name}.pages`);
    return new PageFile(path, await open(path, 'w+'));
  }

  async put(key: string, bytes: Uint8Array): Promise<void> {
    let place = this.#places.get(key);
    if (place?.length !== bytes.length) {
      place = { offset: this.#size, length: bytes.length };
      this.#size += bytes.length;
      this.#places.set(key, place);
    }
    for (let done = 0; done < bytes.length; ) {
      const at = place.offset + done;
      done += (await this.#handle.write(bytes, done, bytes.length - done, at)).bytesWritten;
    }
  }

  async get(key: string): Promise<Uint8Array> {
    const { offset, length } = this.#places.get(key)!;
    const bytes = new Uint8Array(length);
    for (let done = 0; done < length; ) {
      const { bytesRead } = await this.#handle.read(bytes, done, length - done, offset + done);
      if (bytesRead === 0) throw new Error(`${this.#path} ended early`);
      done += bytesRead;
    }
    return bytes;
  }

  /** The place stays: a page that comes back takes it again. */
  delete(): void {}

  /** Closes and deletes the file. */
  async remove(): Promise<void> {
    await this.#handle.close();
    await rm(this.#path, { force: true });
  }
}
