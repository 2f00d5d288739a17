import { readFile, stat } from 'node:fs/promises';
import { extname, join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { QLoraError } from '@qlorajs/errors';
import { personalities } from '@qlorajs/personalities';
import { phiNano } from '@qlorajs/phi-nano';
import { Hono } from 'hono';
import { kindOf } from '../io/read.js';

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.json': 'application/json',
};

/** What comes from the packages rather than from the page's own folder. */
const FOLDERS: readonly (readonly [prefix: string, folder: string])[] = [
  [`models/${phiNano.name}/`, fileURLToPath(phiNano.folder)],
  ...personalities.flatMap(({ name, adapter, data }) => [
    [`adapters/${name}/`, fileURLToPath(adapter)] as const,
    ...(data ? [[`data/personalities/${name}.jsonl`, fileURLToPath(data)] as const] : []),
  ]),
];

/** A request's path as it is meant; null for one that says nothing. */
function pathOf(requested: string): string | null {
  try {
    const path = decodeURIComponent(requested).replaceAll('\\', '/');
    return path.includes('\0') ? null : posix.normalize(path).replace(/^\/+/, '');
  } catch {
    return null;
  }
}

/** Where a path of the site lies on disk; what leaves the folders is nowhere. */
function fileOf(page: string, requested: string): string | null {
  const plain = pathOf(requested);
  if (plain === null || plain.startsWith('..')) return null;
  const found = FOLDERS.find(([prefix]) => plain.startsWith(prefix));
  if (found) return join(found[1], plain.slice(found[0].length));
  return join(page, plain === '' || plain === '.' ? 'index.html' : plain);
}

/** The page's own policy, as a header: a worker is bound by that of its script. */
async function policyOf(page: string): Promise<string> {
  const html = await readFile(join(page, 'index.html'), 'utf8');
  const [, policy] = /http-equiv="Content-Security-Policy"\s+content="([^"]+)"/.exec(html) ?? [];
  if (policy === undefined) throw new Error(`${page}/index.html has no Content-Security-Policy`);
  return `${policy}; frame-ancestors 'none'`;
}

/**
 * The playground as a site.
 * @param page folder of the built page
 * @throws QLoraError `PLAYGROUND_MISSING` where it is not built
 */
export async function createSite(page: string): Promise<Hono> {
  if ((await kindOf(join(page, 'index.html'))) !== 'file')
    throw new QLoraError(
      'PLAYGROUND_MISSING',
      `the page is not in ${page}; run "npx turbo run build" in the repository, or install qlorajs again`,
      { kind: 'runtime', details: { page } },
    );
  const headers = {
    'Content-Security-Policy': await policyOf(page),
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cross-Origin-Embedder-Policy': 'require-corp',
    'Cross-Origin-Resource-Policy': 'same-origin',
    'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'no-referrer',
    'Cache-Control': 'no-cache',
  };
  return new Hono().get('*', async ({ req, body }) => {
    const file = fileOf(page, req.path);
    if (file === null || (await kindOf(file)) !== 'file')
      return body('there is no such file', 404, headers);
    const { size, mtimeMs } = await stat(file);
    const tag = `"${size}-${Math.floor(mtimeMs)}"`;
    const type = TYPES[extname(file)] ?? 'application/octet-stream';
    const told = { ...headers, 'Content-Type': type, ETag: tag, 'Accept-Ranges': 'bytes' };
    if (req.header('If-None-Match') === tag) return body(null, 304, told);
    const [, from = '0'] = /^bytes=(\d+)-$/.exec(req.header('Range') ?? '') ?? [];
    const start = Number(from);
    if (start === 0) return body(await readFile(file), 200, told);
    if (start >= size) return body(null, 416, { ...told, 'Content-Range': `bytes */${size}` });
    const range = { ...told, 'Content-Range': `bytes ${start}-${size - 1}/${size}` };
    return body((await readFile(file)).subarray(start), 206, range);
  });
}
