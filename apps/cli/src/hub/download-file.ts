import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { QLoraError } from '@qlorajs/errors';
import { withFile } from '../io/file-error.js';
import type { HubSettings } from './hub-cache.js';
import { authorization, type HubFile, reasonOf, refusal } from './hub-listing.js';

/** Attempts in a row that bring nothing, before it is given up. */
const ATTEMPTS = 5;
/** Milliseconds before the first new attempt; each further one waits twice as long. */
const PAUSE = 500;
/** Milliseconds without a byte after which a connection counts as cut. */
const STALL = 60_000;

/** What is downloaded, and where to. */
export interface Download {
  readonly id: string;
  readonly url: string;
  readonly file: HubFile;
  /** Its place when it is whole; `PATH.incomplete` until then. */
  readonly path: string;
  readonly settings: HubSettings;
  /** Told the bytes that are there. */
  readonly onBytes: (bytes: number) => void;
  readonly signal?: AbortSignal;
}

function hashOf({ size, digest }: HubFile): Hash {
  if (digest.algorithm === 'sha256') return createHash('sha256');
  return createHash('sha1').update(`blob ${size}\0`);
}

/** What has come of a file, with the hash of it. */
class PartialFile {
  readonly #handle: FileHandle;
  readonly #file: HubFile;
  #hash: Hash;
  #size = 0;

  private constructor(handle: FileHandle, file: HubFile) {
    this.#handle = handle;
    this.#file = file;
    this.#hash = hashOf(file);
  }

  /** Opens what an earlier attempt left, if there is anything. */
  static async open(path: string, file: HubFile): Promise<PartialFile> {
    const partial = new PartialFile(await open(path, 'a+'), file);
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

  async append(piece: Uint8Array): Promise<void> {
    await this.#handle.appendFile(piece);
    this.#hash.update(piece);
    this.#size += piece.length;
  }

  async restart(): Promise<void> {
    await this.#handle.truncate(0);
    this.#hash = hashOf(this.#file);
    this.#size = 0;
  }

  get digest(): string {
    return this.#hash.copy().digest('hex');
  }

  async close(): Promise<void> {
    await this.#handle.sync();
    await this.#handle.close();
  }
}

/** An attempt that another one may better. */
class Cut extends Error {}

/** Asks for what is missing and appends it. @throws Cut when the connection ends before the file does */
async function attempt(download: Download, partial: PartialFile): Promise<void> {
  const { id, url, file, settings, onBytes, signal } = download;
  const stalled = new AbortController();
  const timer = setTimeout(() => stalled.abort(new Error('no byte for a minute')), STALL);
  try {
    const response = await fetch(url, {
      headers: {
        ...authorization(settings),
        // Encoded bytes would have other positions.
        'accept-encoding': 'identity',
        ...(partial.size > 0 ? { range: `bytes=${partial.size}-` } : {}),
      },
      signal: signal ? AbortSignal.any([signal, stalled.signal]) : stalled.signal,
    });
    if (!response.ok) {
      await response.body?.cancel();
      // Nothing is left to ask for, of a file that is not right.
      if (response.status === 416) await partial.restart();
      else throw refusal(id, response, settings) ?? new Cut(`status ${response.status}`);
      throw new Cut('the range was refused');
    }
    const from = /^bytes (\d+)-/.exec(response.headers.get('content-range') ?? '')?.[1] ?? '0';
    if (Number(from) !== partial.size) await partial.restart();
    if (Number(from) > 0 && partial.size === 0) throw new Cut('another range came');
    for await (const piece of response.body ?? []) {
      timer.refresh();
      await withFile('write', download.path, () => partial.append(piece));
      onBytes(partial.size);
      if (partial.size > file.size) break;
    }
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof TypeError || stalled.signal.aborted) throw new Cut(reasonOf(error));
    throw error;
  } finally {
    clearTimeout(timer);
  }
  if (partial.size < file.size) throw new Cut('the connection ended early');
}

async function fetchAll(download: Download, partial: PartialFile): Promise<void> {
  const { id, file, path, signal, onBytes } = download;
  let isSecond = false;
  for (let failures = 0; ; ) {
    const before = partial.size;
    onBytes(before);
    try {
      if (partial.size < file.size) await attempt(download, partial);
      if (partial.size === file.size && partial.digest === file.digest.hex) return;
      await partial.restart();
      if (isSecond)
        throw new QLoraError(
          'HUB_DAMAGED',
          `${id}: ${file.name} came twice with another ${file.digest.algorithm} than ${file.digest.hex}; nothing is kept of it, try later`,
          { kind: 'runtime', details: { base: id, file: file.name } },
        );
      isSecond = true;
    } catch (error) {
      if (!(error instanceof Cut)) throw error;
      failures = partial.size > before ? 1 : failures + 1;
      if (failures >= ATTEMPTS)
        throw new QLoraError(
          'HUB_INTERRUPTED',
          `${id}: the download of ${file.name} stopped after ${partial.size} of ${file.size} bytes (${error.message}); the same command goes on from there`,
          { kind: 'runtime', details: { base: id, file: file.name, path: `${path}.incomplete` } },
        );
      await sleep(PAUSE * 2 ** (failures - 1), undefined, { signal });
    }
  }
}

/**
 * Downloads a file, or what an earlier attempt left to download, compares its hash and renames it into
 * its place.
 * @throws QLoraError `HUB_INTERRUPTED` with what has come kept, `HUB_DAMAGED`, and the Hub's refusals
 */
export async function downloadFile(download: Download): Promise<void> {
  const incomplete = `${download.path}.incomplete`;
  const partial = await withFile('write', incomplete, () =>
    PartialFile.open(incomplete, download.file),
  );
  try {
    await fetchAll(download, partial);
  } catch (error) {
    if (partial.size === 0) await rm(incomplete, { force: true });
    throw error;
  } finally {
    await partial.close();
  }
  await withFile('write', download.path, () => rename(incomplete, download.path));
}
