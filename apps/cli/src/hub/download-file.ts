import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { type FileRequest, fetchFile, type HubFile, type PartialFile } from '@qlorajs/session';
import { withFile } from '../io/file-error.js';

/** What is downloaded, and where to. */
export interface Download extends Omit<FileRequest, 'file'> {
  readonly file: HubFile;
  /** Its place when it is whole; `PATH.incomplete` until then. */
  readonly path: string;
}

function hashOf({ size, digest }: HubFile): Hash {
  if (digest.algorithm === 'sha256') return createHash('sha256');
  return createHash('sha1').update(`blob ${size}\0`);
}

/** A file on disk with the hash of what has come; its name in the cache is the version. */
class FileOnDisk implements PartialFile {
  readonly #handle: FileHandle;
  readonly #path: string;
  readonly #file: HubFile;
  #hash: Hash;
  #size = 0;

  private constructor(handle: FileHandle, path: string, file: HubFile) {
    this.#handle = handle;
    this.#path = path;
    this.#file = file;
    this.#hash = hashOf(file);
  }

  /** Opens what an earlier attempt left, if there is anything. */
  static async open(path: string, file: HubFile): Promise<FileOnDisk> {
    const partial = new FileOnDisk(await open(path, 'a+'), path, file);
    const { size } = await partial.#handle.stat();
    if (size > file.size) await partial.restart();
    else if (size > 0)
      for await (const piece of createReadStream(path, { end: size - 1 })) {
        partial.#hash.update(piece);
        partial.#size += piece.length;
      }
    return partial;
  }

  get size(): number {
    return this.#size;
  }

  get version(): string {
    return this.#file.digest.hex;
  }

  async append(piece: Uint8Array): Promise<void> {
    await withFile('write', this.#path, () => this.#handle.appendFile(piece));
    this.#hash.update(piece);
    this.#size += piece.length;
  }

  async restart(): Promise<void> {
    await this.#handle.truncate(0);
    this.#hash = hashOf(this.#file);
    this.#size = 0;
  }

  digest(): string {
    return this.#hash.copy().digest('hex');
  }

  async close(): Promise<void> {
    await this.#handle.sync();
    await this.#handle.close();
  }
}

/**
 * Downloads a file, or what an earlier attempt left to download, compares its hash and renames it into
 * its place.
 * @throws QLoraError `HUB_INTERRUPTED` with what has come kept, `HUB_DAMAGED`, and the Hub's refusals
 */
export async function downloadFile(download: Download): Promise<void> {
  const { path, file } = download;
  const incomplete = `${path}.incomplete`;
  const partial = await withFile('write', incomplete, () => FileOnDisk.open(incomplete, file));
  try {
    await fetchFile(download, partial);
  } catch (error) {
    if (partial.size === 0) await rm(incomplete, { force: true });
    throw error;
  } finally {
    await partial.close();
  }
  await withFile('write', path, () => rename(incomplete, path));
}
