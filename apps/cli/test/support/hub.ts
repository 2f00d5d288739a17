import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';

export const COMMIT = '0123456789abcdef0123456789abcdef01234567';

/** A request that a hub got. */
export interface Asked {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
}

/** A server that answers as the Hub does, for one model: its listing, redirects to storage, ranges. */
export interface Hub {
  readonly url: string;
  readonly asked: Asked[];
  /** Before `/storage/…`, where large files are redirected to; '' is the same host. */
  storage: string;
  /** Does something else than sending what is left of a file; true: it did. */
  meddle: (name: string, rest: Buffer, response: ServerResponse) => boolean;
  close(): Promise<void>;
}

const sha = (algorithm: string, bytes: Buffer) => createHash(algorithm).update(bytes).digest('hex');
const gitId = (bytes: Buffer) =>
  sha('sha1', Buffer.concat([Buffer.from(`blob ${bytes.length}\0`), bytes]));

/** Serves a folder, and more files, as the model `id`. */
export async function startHub(
  id: string,
  folder: string,
  more: Readonly<Record<string, string>> = {},
): Promise<Hub> {
  const files = new Map<string, Buffer>();
  for (const name of readdirSync(folder)) files.set(name, readFileSync(join(folder, name)));
  for (const [name, text] of Object.entries(more)) files.set(name, Buffer.from(text));
  const siblings = [...files].map(([rfilename, bytes]) => ({
    ...{ rfilename, size: bytes.length, blobId: gitId(bytes) },
    ...(/\.(safetensors|bin)$/.test(rfilename) && {
      lfs: { sha256: sha('sha256', bytes), size: bytes.length, pointerSize: 133 },
    }),
  }));
  const send = (name: string, range: string | undefined, response: ServerResponse) => {
    const bytes = files.get(name)!;
    const from = Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1] ?? 0);
    const rest = bytes.subarray(from);
    response.writeHead(range ? 206 : 200, {
      'content-length': rest.length,
      ...(range && { 'content-range': `bytes ${from}-${bytes.length - 1}/${bytes.length}` }),
    });
    if (!hub.meddle(name, rest, response)) response.end(rest);
  };
  const server = createServer((request, response) => {
    const path = request.url!;
    hub.asked.push({ path, headers: request.headers });
    const name = path.slice(path.lastIndexOf('/') + 1);
    if (path === `/api/models/${id}/revision/main?blobs=true`)
      response.end(JSON.stringify({ id, sha: COMMIT, siblings }));
    else if (path.startsWith(`/storage/`)) send(name, request.headers.range, response);
    else if (path === `/${id}/resolve/${COMMIT}/${name}` && files.has(name)) {
      // Large files lie elsewhere.
      if (name.endsWith('.safetensors'))
        response.writeHead(302, { location: `${hub.storage}/storage/${name}` }).end();
      else send(name, request.headers.range, response);
    } else response.writeHead(404, { 'x-error-code': 'RepoNotFound' }).end('{}');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const hub: Hub = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked: [],
    storage: '',
    meddle: () => false,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
  return hub;
}
