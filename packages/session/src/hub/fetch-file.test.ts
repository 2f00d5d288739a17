import { createHash } from 'node:crypto';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type FileRequest, fetchFile, type PartialFile, type RemoteFile } from './fetch-file.js';

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
afterEach(() => void vi.useRealTimers());

const bytesOf = (seed: number, size = 1000) =>
  Uint8Array.from({ length: size }, (_, i) => i * seed);
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

class InMemory implements PartialFile {
  bytes: Uint8Array;
  version: string | null;

  constructor(bytes = new Uint8Array(0), version: string | null = null) {
    this.bytes = bytes;
    this.version = version;
  }

  get size() {
    return this.bytes.length;
  }

  async append(piece: Uint8Array) {
    this.bytes = Uint8Array.from([...this.bytes, ...piece]);
  }

  async restart(version: string | null) {
    this.bytes = new Uint8Array(0);
    this.version = version;
  }

  digest() {
    return sha256(this.bytes);
  }
}

interface Server {
  content: Uint8Array;
  etag?: string;
  /** Answers 200 with everything, whatever was asked. */
  noRanges?: boolean;
  /** Names its ranges to nobody, as another origin's server does. */
  isShy?: boolean;
  /** Bytes after which the connection ends, for each request. */
  cuts?: (number | undefined)[];
}

/** A server's answers, and the ranges that it was asked for. */
function serve(server: Server) {
  const ranges: (string | null)[] = [];
  const fetch = async (_: unknown, init: RequestInit = {}): Promise<Response> => {
    const range = new Headers(init.headers).get('range');
    ranges.push(range);
    const { content, etag, noRanges, isShy, cuts = [] } = server;
    const from = noRanges || range === null ? 0 : Number(/=(\d+)-/.exec(range)![1]);
    const headers = new Headers(etag === undefined ? {} : { etag });
    if (from >= content.length) return new Response(null, { status: 416, headers });
    const rest = content.subarray(from);
    headers.set('content-length', String(rest.length));
    const isPart = range !== null && !noRanges;
    if (isPart && !isShy)
      headers.set('content-range', `bytes ${from}-${content.length - 1}/${content.length}`);
    const cut = cuts[ranges.length - 1];
    const body = new ReadableStream({
      start(controller) {
        controller.enqueue(rest.slice(0, cut ?? rest.length));
        if (cut === undefined) controller.close();
      },
      pull(controller) {
        if (cut !== undefined) controller.error(new TypeError('terminated'));
      },
    });
    return new Response(body, { status: isPart ? 206 : 200, headers });
  };
  return { ranges, fetch: fetch as typeof globalThis.fetch };
}

async function fetchFrom(
  server: Server,
  partial: InMemory,
  file: Partial<RemoteFile> = {},
  more: Partial<FileRequest> = {},
) {
  const { ranges, fetch } = serve(server);
  const work = fetchFile(
    {
      ...{ id: 'a/b', url: 'http://hub/a/b', onBytes: () => {} },
      file: { name: 'model.safetensors', size: null, digest: null, ...file },
      access: { endpoint: 'http://hub', token: null, fetch },
      ...more,
    },
    partial,
  );
  work.catch(() => {});
  await vi.runAllTimersAsync();
  await work;
  return ranges;
}

const content = bytesOf(7);
const known = { size: 1000, digest: { algorithm: 'sha256', hex: sha256(content) } } as const;

test('goes on inside a file, from its first missing byte', async () => {
  const partial = new InMemory(content.slice(0, 400), '"v1"');
  expect(await fetchFrom({ content, etag: '"v1"' }, partial)).toEqual(['bytes=400-']);
  expect(partial.bytes).toEqual(content);
});

test('the same where the server hides which range it sends', async () => {
  const partial = new InMemory(content.slice(0, 400), '"v1"');
  await fetchFrom({ content, etag: '"v1"', isShy: true }, partial);
  expect(partial.bytes).toEqual(content);
});

test('a file that has changed is not spliced', async () => {
  const partial = new InMemory(bytesOf(3).slice(0, 400), '"v1"');
  const ranges = await fetchFrom({ content, etag: '"v2"' }, partial);
  expect(ranges).toEqual(['bytes=400-', 'bytes=0-']);
  expect(partial.bytes).toEqual(content);
  expect(partial.version).toBe('"v2"');
});

test.each([{ etag: '"v1"' }, { etag: undefined }])(
  'a server without ranges starts over, with %o',
  async ({ etag }) => {
    const partial = new InMemory(bytesOf(3).slice(0, 400), '"v1"');
    expect(await fetchFrom({ content, etag, noRanges: true }, partial)).toEqual(['bytes=400-']);
    expect(partial.bytes).toEqual(content);
  },
);

test('bytes of an unknown version are thrown away', async () => {
  const partial = new InMemory(bytesOf(3).slice(0, 400), null);
  expect(await fetchFrom({ content }, partial)).toEqual(['bytes=0-']);
  expect(partial.bytes).toEqual(content);
});

test('a cut connection is taken up where it was, again and again', async () => {
  const partial = new InMemory();
  const cuts = [300, 0, 200];
  const ranges = await fetchFrom({ content, etag: '"v1"', cuts }, partial);
  expect(ranges).toEqual(['bytes=0-', 'bytes=300-', 'bytes=300-', 'bytes=500-']);
  expect(partial.bytes).toEqual(content);
});

test('one that stays cut is given up, and what came is kept', async () => {
  const partial = new InMemory();
  const cuts = [300, 0, 0, 0, 0, 0];
  await expect(fetchFrom({ content, etag: '"v1"', cuts }, partial)).rejects.toMatchObject({
    code: 'HUB_INTERRUPTED',
  });
  expect(partial.bytes).toEqual(content.slice(0, 300));
  expect(await fetchFrom({ content, etag: '"v1"' }, partial)).toEqual(['bytes=300-']);
  expect(partial.bytes).toEqual(content);
});

test('with a hash, the version is the hash: nothing is asked of a file that is there', async () => {
  const partial = new InMemory(content, known.digest.hex);
  expect(await fetchFrom({ content }, partial, known)).toEqual([]);
  const half = new InMemory(content.slice(0, 500), known.digest.hex);
  expect(await fetchFrom({ content, etag: '"other"' }, half, known)).toEqual(['bytes=500-']);
  expect(half.bytes).toEqual(content);
});

test('a part that is wrong is found by the hash and fetched anew, once', async () => {
  const partial = new InMemory(bytesOf(3).slice(0, 500), known.digest.hex);
  expect(await fetchFrom({ content }, partial, known)).toEqual(['bytes=500-', null]);
  expect(partial.bytes).toEqual(content);
  await expect(fetchFrom({ content: bytesOf(5) }, new InMemory(), known)).rejects.toMatchObject({
    code: 'HUB_DAMAGED',
  });
});

test('a file that is shorter than the Hub says is refused', async () => {
  const partial = new InMemory();
  await expect(
    fetchFrom({ content: content.slice(0, 900) }, partial, { ...known }),
  ).rejects.toMatchObject({ code: 'HUB_DAMAGED' });
});

test('it stops when it is told to, with the reason, and keeps what came', async () => {
  const stopping = new AbortController();
  const partial = new InMemory();
  const onBytes = (bytes: number) => bytes >= 300 && stopping.abort(new Error('enough'));
  await expect(
    fetchFrom(
      { content, etag: '"v1"', cuts: [300] },
      partial,
      {},
      {
        ...{ onBytes, signal: stopping.signal },
      },
    ),
  ).rejects.toThrowError('enough');
  expect(partial.bytes).toEqual(content.slice(0, 300));
});

test('an answer that no attempt betters is told at once', async () => {
  const fetch = async () => new Response('', { status: 403 });
  const access = { endpoint: 'http://hub', token: null, fetch };
  await expect(fetchFrom({ content }, new InMemory(), {}, { access })).rejects.toMatchObject({
    code: 'HUB_ACCESS',
  });
});
