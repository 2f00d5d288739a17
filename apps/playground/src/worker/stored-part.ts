import { sha1 } from '@noble/hashes/legacy.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex } from '@noble/hashes/utils.js';
import { QLoraError } from '@qlorajs/errors';
import type { Digest, PartialFile, RemoteFile } from '@qlorajs/session';
import { readStored, storageError, writeStored } from './storage.js';

/** Bytes of a file that are hashed at one time. */
const PIECE = 4 * 2 ** 20;

/** WebCrypto hashes a whole file at one time only, and these have gigabytes. */
function hashOf(digest: Digest | null, size: number | null) {
  if (digest?.algorithm !== 'git-sha1') return sha256.create();
  return sha1.create().update(new TextEncoder().encode(`blob ${size}\0`));
}

/**
 * A file of the browser's storage that is on its way. What it is a version of stands in `NAME.part`
 * until it is whole, then in `NAME.whole`.
 */
export class StoredPart implements PartialFile {
  readonly #folder: FileSystemDirectoryHandle;
  readonly #handle: FileSystemSyncAccessHandle;
  readonly #file: RemoteFile;
  #hash: ReturnType<typeof hashOf>;
  #size = 0;
  #version: string | null;

  private constructor(
    folder: FileSystemDirectoryHandle,
    handle: FileSystemSyncAccessHandle,
    file: RemoteFile,
    version: string | null,
  ) {
    this.#folder = folder;
    this.#handle = handle;
    this.#file = file;
    this.#version = version;
    this.#hash = hashOf(file.digest, file.size);
  }

  /** Opens what an earlier attempt left of this version, if there is anything. */
  static async open(folder: FileSystemDirectoryHandle, file: RemoteFile): Promise<StoredPart> {
    const version = (await readStored(folder, `${file.name}.part`)) || null;
    const stored = await folder.getFileHandle(file.name, { create: true });
    const handle = await stored.createSyncAccessHandle().catch((cause: unknown) => {
      throw new QLoraError('HUB_BUSY', `another tab of this browser downloads ${file.name}`, {
        ...{ kind: 'runtime', cause },
      });
    });
    const part = new StoredPart(folder, handle, file, version);
    const isOther = file.digest !== null && version !== file.digest.hex;
    if (version === null || isOther) await part.restart(null);
    else part.#readAgain();
    return part;
  }

  /** The version of a file that is whole; null: it is not. */
  static wholeVersion(folder: FileSystemDirectoryHandle, name: string): Promise<string | null> {
    return readStored(folder, `${name}.whole`);
  }

  /** Hashes what is there. */
  #readAgain(): void {
    const end = this.#handle.getSize();
    const bytes = new Uint8Array(Math.min(PIECE, end));
    while (this.#size < end) {
      const read = this.#handle.read(bytes, { at: this.#size });
      this.#take(bytes.subarray(0, read));
    }
  }

  /** Without a digest nobody asks for the hash. */
  #take(piece: Uint8Array): void {
    if (this.#file.digest !== null) this.#hash.update(piece);
    this.#size += piece.length;
  }

  get size(): number {
    return this.#size;
  }

  get version(): string | null {
    return this.#version;
  }

  async append(piece: Uint8Array): Promise<void> {
    const { name } = this.#file;
    try {
      const written = this.#handle.write(piece as Uint8Array<ArrayBuffer>, { at: this.#size });
      if (written < piece.length) throw new DOMException('no room', 'QuotaExceededError');
    } catch (cause) {
      throw storageError(cause, name);
    }
    this.#take(piece);
  }

  async restart(version: string | null): Promise<void> {
    this.#handle.truncate(0);
    this.#size = 0;
    this.#hash = hashOf(this.#file.digest, this.#file.size);
    this.#version = version;
    await writeStored(this.#folder, `${this.#file.name}.part`, version ?? '');
  }

  digest(): string {
    return bytesToHex(this.#hash.clone().digest());
  }

  /** It is whole, and checked. */
  async finish(): Promise<void> {
    this.#handle.flush();
    await writeStored(this.#folder, `${this.#file.name}.whole`, this.#version ?? '');
  }

  close(): void {
    this.#handle.close();
  }
}
