import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { Hono } from 'hono';
import { build } from 'vite';
import { createSite } from '../../cli/src/playground/site.js';
import { type Listening, listen } from '../../cli/src/serve/listen.js';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Pictures of the page, to be looked at; git does not keep them. */
export const artefacts = join(root, 'artefacts');
mkdirSync(artefacts, { recursive: true });

/** Each test file builds its own: they may run at one time. */
const page = process.env.PLAYGROUND_BUILT ?? mkdtempSync(join(tmpdir(), 'qlora-page-'));

/** Builds the page from the sources and serves it as `qlora playground` does. */
export async function serveBuilt(
  change: (site: Hono) => Hono = (site) => site,
): Promise<Listening> {
  if (!process.env.PLAYGROUND_BUILT) {
    const before = process.env.NODE_ENV;
    process.env.NODE_ENV = 'production';
    await build({ root, logLevel: 'error', build: { outDir: page, emptyOutDir: true } });
    process.env.NODE_ENV = before;
  }
  const site = await listen(change(await createSite(page)), '127.0.0.1', 0);
  const close = async () => {
    await site.close();
    if (!process.env.PLAYGROUND_BUILT) rmSync(page, { recursive: true, force: true });
  };
  return { ...site, close };
}

/** Bytes of files of the built page, gzipped. */
export function gzippedBytes(files: Iterable<string>): number {
  const assets = join(page, 'assets');
  return [...files].reduce(
    (sum, file) => sum + gzipSync(readFileSync(join(assets, file)), { level: 9 }).length,
    0,
  );
}

/** Names of the page's scripts and styles, but for gpu.js and its engine, which few visits load. */
export function bundleFiles(): string[] {
  const assets = join(page, 'assets');
  return readdirSync(assets).filter(
    (file) =>
      /\.(js|css)$/.test(file) &&
      !readFileSync(join(assets, file)).includes('fixIntegerDivisionAccuracy'),
  );
}

/** The same site from a server that knows no headers of isolation, such as a plain static host. */
export async function servePlain(url: string): Promise<Listening> {
  const app = new Hono().get('*', async ({ req, body }) => {
    const response = await fetch(url + req.path);
    const type = response.headers.get('Content-Type') ?? 'text/plain';
    return body(await response.arrayBuffer(), response.status as 200, { 'Content-Type': type });
  });
  return listen(app, '127.0.0.1', 0);
}
