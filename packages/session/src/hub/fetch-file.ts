import { QLoraError } from '@qlorajs/errors';
import { authorization, type Digest, type HubAccess, reasonOf, refusal } from './listing.js';
import { pause } from './pause.js';

/** Attempts in a row that bring nothing, before it is given up. */
const ATTEMPTS = 5;
/** Milliseconds before the first new attempt; each further one waits twice as long. */
const PAUSE = 500;
/** Milliseconds without a byte after which a connection counts as cut. */
const STALL = 60_000;

/** A file as its server names it. */
export interface RemoteFile {
  readonly name: string;
  /** In bytes; null: the server says it with the file. */
  readonly size: number | null;
  /** null: nobody says one; then the server's own version (ETag) tells whether the file has changed. */
  readonly digest: Digest | null;
}

/** What has come of a file, wherever an app keeps it. */
export interface PartialFile {
  /** Bytes that are there. */
  readonly size: number;
  /** Which version of the file they are of, as `restart` was told; null: unknown. */
  readonly version: string | null;
  append(piece: Uint8Array): Promise<void>;
  /** Empties it for the bytes of this version. */
  restart(version: string | null): Promise<void>;
  /** Of all bytes that are there, by the algorithm of the file's digest. */
  digest(): string;
}

/** One file to fetch. */
export interface FileRequest {
  /** For messages: what the file belongs to. */
  readonly id: string;
  readonly url: string;
  readonly file: RemoteFile;
  readonly access: HubAccess;
  /** Told the bytes that are there. */
  readonly onBytes: (bytes: number) => void;
  readonly signal?: AbortSignal;
}

/** An attempt that another one may better. */
class Cut extends Error {}

/** Stops a request that brings nothing for a minute. */
class Patience {
  readonly #stalled = new AbortController();
  #timer: ReturnType<typeof setTimeout> | undefined;

  get signal(): AbortSignal {
    return this.#stalled.signal;
  }

  renew(): void {
    this.end();
    this.#timer = setTimeout(() => this.#stalled.abort(new Error('no byte for a minute')), STALL);
  }

  end(): void {
    clearTimeout(this.#timer);
  }
}

/** What a server calls a version of a file. Where a page may not see its ETag, the date must do. */
function versionOf({ headers }: Response): string | null {
  return headers.get('etag') ?? headers.get('last-modified');
}

/** Bytes of the whole file, as far as the answer says. */
function sizeOf(response: Response, from: number): number | null {
  const total = /\/(\d+)$/.exec(response.headers.get('content-range') ?? '')?.[1];
  if (total !== undefined) return Number(total);
  const length = response.headers.get('content-length');
  return length === null ? null : from + Number(length);
}

/**
 * Asks for what is missing. `If-Range` would make a page ask its server for leave first, which many
 * refuse; the answer's version is compared instead.
 */
async function ask(
  { id, url, file, access, signal }: FileRequest,
  partial: PartialFile,
  patience: Patience,
): Promise<Response> {
  const isRest = partial.size > 0 || file.size === null;
  const response = await access.fetch(url, {
    headers: {
      ...authorization(access),
      // Encoded bytes would have other positions. A page's fetch sets this by itself beside `range`.
      'accept-encoding': 'identity',
      ...(isRest ? { range: `bytes=${partial.size}-` } : {}),
    },
    signal: signal ? AbortSignal.any([signal, patience.signal]) : patience.signal,
  });
  if (response.ok || response.status === 416) return response;
  await response.body?.cancel();
  throw refusal(id, response, access) ?? new Cut(`status ${response.status}`);
}

/** Makes room for what comes, where it does not go on from what is there. */
async function take(response: Response, file: RemoteFile, partial: PartialFile): Promise<void> {
  const range = /^bytes (\d+)-/.exec(response.headers.get('content-range') ?? '')?.[1];
  // A page may not be allowed to see which range it got: then it is the one it asked for.
  const from = response.status === 206 ? Number(range ?? partial.size) : 0;
  const version = file.digest?.hex ?? versionOf(response);
  const isOther = partial.size > 0 && version !== partial.version;
  if (from === partial.size && from > 0 && !isOther) return;
  await partial.restart(version);
  if (from === 0) return;
  await response.body?.cancel();
  throw new Cut(isOther ? 'the file has changed' : 'another range came');
}

/** Whether what is there is the file. */
function isRight({ digest }: RemoteFile, size: number | null, partial: PartialFile): boolean {
  if (size !== null && partial.size !== size) return false;
  return digest === null || partial.digest() === digest.hex;
}

/**
 * @returns whether the file is there and right
 * @throws Cut when the connection ends before the file does
 */
async function attempt(request: FileRequest, partial: PartialFile): Promise<boolean> {
  const { file, onBytes, signal } = request;
  const patience = new Patience();
  patience.renew();
  let size = file.size;
  let reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  try {
    const response = await ask(request, partial, patience);
    // The server has less than what is there.
    if (response.status === 416) {
      await response.body?.cancel();
      return false;
    }
    await take(response, file, partial);
    size ??= sizeOf(response, partial.size);
    reader = response.body?.getReader();
    for (;;) {
      const { done, value } = (await reader?.read()) ?? { done: true, value: undefined };
      if (done) break;
      patience.renew();
      await partial.append(value);
      onBytes(partial.size);
      if (size !== null && partial.size > size) break;
    }
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof TypeError || patience.signal.aborted) throw new Cut(reasonOf(error));
    throw error;
  } finally {
    patience.end();
    reader?.cancel().catch(() => {});
  }
  if (size !== null && partial.size < size) throw new Cut('the connection ended early');
  return isRight(file, size, partial);
}

/**
 * Fetches a file, or what an earlier attempt left to fetch, and compares its size and its hash. A cut
 * connection is taken up where it was; a file that changed meanwhile, or a server that does not send
 * ranges, begins anew.
 * @throws QLoraError `HUB_INTERRUPTED` with what has come kept, `HUB_DAMAGED`, and the server's refusals
 */
export async function fetchFile(request: FileRequest, partial: PartialFile): Promise<void> {
  const { id, file, signal, onBytes } = request;
  // Bytes of an unknown version cannot be gone on with.
  if (partial.size > 0 && (partial.version === null || partial.size > (file.size ?? Infinity)))
    await partial.restart(null);
  let isSecond = false;
  for (let failures = 0; ; ) {
    const before = partial.size;
    onBytes(before);
    try {
      const isThere = partial.size === file.size;
      if (isThere ? isRight(file, file.size, partial) : await attempt(request, partial)) return;
      await partial.restart(null);
      if (isSecond)
        throw new QLoraError(
          'HUB_DAMAGED',
          `${id}: ${file.name} came twice with another size or ${file.digest?.algorithm ?? 'version'} than it should have; nothing is kept of it, try later`,
          { kind: 'runtime', details: { base: id, file: file.name } },
        );
      isSecond = true;
    } catch (error) {
      if (!(error instanceof Cut)) throw error;
      failures = partial.size > before ? 1 : failures + 1;
      if (failures >= ATTEMPTS)
        throw new QLoraError(
          'HUB_INTERRUPTED',
          `${id}: the download of ${file.name} stopped after ${partial.size}${file.size === null ? '' : ` of ${file.size}`} bytes (${error.message}); the next one goes on from there`,
          { kind: 'runtime', details: { base: id, file: file.name } },
        );
      await pause(PAUSE * 2 ** (failures - 1), signal);
    }
  }
}
