import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** With these a page is cross-origin isolated, and so has shared memory. */
const ISOLATION = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};

const WORKER = `
import { run } from './suite.js';
onmessage = async ({ data }) => postMessage(await run(data));
`;

/** A site on this machine with a page, a worker and the suite, with or without isolation. */
export async function serveSuite(
  suite: string,
  isolated: boolean,
): Promise<{ readonly url: string; close(): void }> {
  const files: Readonly<Record<string, readonly [type: string, text: string]>> = {
    '/': ['text/html', '<!doctype html><title>suite</title>'],
    '/worker.js': ['text/javascript', WORKER],
    '/suite.js': ['text/javascript', suite],
  };
  const server: Server = createServer((request, response) => {
    const file = files[request.url ?? ''];
    if (!file) {
      response.writeHead(404).end();
      return;
    }
    const [type, text] = file;
    response.writeHead(200, { 'Content-Type': type, ...(isolated ? ISOLATION : {}) }).end(text);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/`,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}
