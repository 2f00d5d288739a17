import { isQLoraError, QLoraError } from '@qlorajs/errors';
import type { FolderSource } from '@qlorajs/safetensors';
import { fetchFile, jsonIfThere, type RemoteFile } from '@qlorajs/session';
import { opfsFolder } from './folders.js';
import { type Origin, originOf } from './hub-origin.js';
import { folderName } from './kept-bases.js';
import { expectStorage, storageFolder } from './storage.js';
import { StoredPart } from './stored-part.js';

const INDEX = 'model.safetensors.index.json';
const TEXTS = ['tokenizer.json', 'tokenizer_config.json', 'chat_template.jinja'];

/** A file of which its server says nothing before it comes. */
const unlisted = (name: string): RemoteFile => ({ name, size: null, digest: null });

/** Told how many bytes are there, of how many; of an unlisted folder the total grows with its files. */
export type OnBytes = (done: number, total: number) => void;

/** A base on its way into the browser's storage; what came stays there until `remove`. */
export class HubDownload {
  readonly #origin: Origin;
  readonly #folder: FileSystemDirectoryHandle;
  readonly #onBytes: OnBytes;
  readonly #signal: AbortSignal;
  #done = 0;
  #total = 0;

  private constructor(
    origin: Origin,
    folder: FileSystemDirectoryHandle,
    onBytes: OnBytes,
    signal: AbortSignal,
  ) {
    this.#origin = origin;
    this.#folder = folder;
    this.#onBytes = onBytes;
    this.#signal = signal;
  }

  /**
   * Asks what there is, and brings the configuration and the tokenizer.
   * @throws QLoraError `HUB_*`, `DOWNLOAD_FAILED`, `STORAGE_*`
   */
  static async open(given: string, onBytes: OnBytes, signal: AbortSignal): Promise<HubDownload> {
    const origin = await originOf(given, signal);
    const folder = await storageFolder('downloads', folderName(origin.name));
    const download = new HubDownload(origin, folder, onBytes, signal);
    if (origin.listed) {
      const { texts, weights } = origin.listed;
      download.#total = [...texts, ...weights].reduce((sum, { size }) => sum + (size ?? 0), 0);
      for (const file of texts) await download.#bring(file);
      return download;
    }
    if (!(await download.#bring(unlisted('config.json'))))
      throw new QLoraError(
        'DOWNLOAD_FAILED',
        `config.json is not at ${origin.url}; is this the folder of a model?`,
        { kind: 'runtime', details: { file: 'config.json', url: origin.url } },
      );
    for (const name of TEXTS) await download.#bring(unlisted(name));
    return download;
  }

  get name(): string {
    return this.#origin.name;
  }

  /** The files that are whole. */
  get source(): FolderSource {
    const has = async (file: string) =>
      (await StoredPart.wholeVersion(this.#folder, file)) !== null;
    return { ...opfsFolder(this.#folder, this.name), has };
  }

  /**
   * Brings the weights.
   * @param room bytes that must be free beside them
   * @throws QLoraError `STORAGE_ROOM` before anything is asked for, where the Hub tells sizes
   */
  async weights(room: number): Promise<void> {
    const { listed } = this.#origin;
    const files = listed ? listed.weights : await this.#weightFiles();
    const sizes = files.map(({ name, size }) => this.#left(name, size ?? 0));
    const left = (await Promise.all(sizes)).reduce((sum, each) => sum + each, 0);
    await expectStorage(left + room, this.name);
    for (const file of files) await this.#bring(file);
  }

  /** Bytes of a file that have still to come. */
  async #left(name: string, size: number): Promise<number> {
    try {
      const stored = await this.#folder.getFileHandle(name);
      return Math.max(0, size - (await stored.getFile()).size);
    } catch {
      return size;
    }
  }

  async #weightFiles(): Promise<RemoteFile[]> {
    if (!(await this.#bring(unlisted(INDEX)))) return [unlisted('model.safetensors')];
    const { weight_map } = (await jsonIfThere(this.source, INDEX)) as {
      weight_map?: Record<string, string>;
    };
    const names = [...new Set(Object.values(weight_map ?? {}))];
    const odd = names.find((name) => !/^\w[\w.-]*$/.test(name));
    if (odd === undefined) return names.map(unlisted);
    throw new QLoraError('DOWNLOAD_FAILED', `${INDEX} names "${odd}", which is no plain name`, {
      details: { file: odd, url: this.#origin.url },
    });
  }

  /** Whether a file is there already, and is still what its server has. */
  async #isThere({ name, digest }: RemoteFile): Promise<boolean> {
    const version = await StoredPart.wholeVersion(this.#folder, name);
    if (version === null) return false;
    if (digest) return version === digest.hex;
    const { fetch } = this.#origin.access;
    const { headers } = await fetch(this.#origin.url + name, { method: 'HEAD' });
    return version !== '' && (headers.get('etag') ?? headers.get('last-modified')) === version;
  }

  /** Brings a file, going on where an earlier attempt ended. False: there is none. */
  async #bring(file: RemoteFile): Promise<boolean> {
    const before = this.#done;
    const tell = (bytes: number) => {
      this.#done = before + bytes;
      this.#onBytes(this.#done, Math.max(this.#total, this.#done));
    };
    // Where the server is away, no other version can come either.
    if (await this.#isThere(file).catch(() => true)) {
      const stored = await this.#folder.getFileHandle(file.name);
      tell((await stored.getFile()).size);
      return true;
    }
    await this.#folder.removeEntry(`${file.name}.whole`).catch(() => {});
    const part = await StoredPart.open(this.#folder, file);
    const { access, url } = this.#origin;
    try {
      await fetchFile(
        {
          ...{ id: this.name, url: url + file.name, file, access, onBytes: tell },
          signal: this.#signal,
        },
        part,
      );
      await part.finish();
      return true;
    } catch (error) {
      if (isQLoraError(error) && error.code === 'HUB_NOT_FOUND' && file.size === null) return false;
      throw error;
    } finally {
      part.close();
    }
  }

  /** Removes what came. */
  async remove(): Promise<void> {
    const downloads = await storageFolder('downloads');
    await downloads.removeEntry(folderName(this.name), { recursive: true }).catch(() => {});
  }
}
