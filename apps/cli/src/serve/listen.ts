import type { AddressInfo } from 'node:net';
import { type ServerType, serve } from '@hono/node-server';
import { QLoraError } from '@qlorajs/errors';
import type { Hono } from 'hono';

/** A server that takes requests. */
export interface Listening {
  /** `http://127.0.0.1:8177` */
  readonly url: string;
  /** Takes no more requests and cuts the connections that are open. */
  close(): Promise<void>;
}

/** Whether only this machine can reach an address. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d+){3}$/.test(host);
}

/** @throws QLoraError `SERVE_ADDRESS` where the address is taken or not this machine's */
export async function listen(app: Hono, hostname: string, port: number): Promise<Listening> {
  let server: ServerType | undefined;
  const address = await new Promise<AddressInfo>((resolve, reject) => {
    server = serve({ fetch: app.fetch, hostname, port }, resolve);
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        new QLoraError(
          'SERVE_ADDRESS',
          `cannot listen on ${hostname}:${port}: ${error.code === 'EADDRINUSE' ? 'something else does; give another --port, or 0 for any' : error.message}`,
          { details: { host: hostname, port }, cause: error },
        ),
      ),
    );
  });
  const host = address.family === 'IPv6' ? `[${address.address}]` : address.address;
  return {
    url: `http://${host}:${address.port}`,
    close: () =>
      new Promise((resolve) => {
        server!.close(() => resolve());
        (server as { closeAllConnections?: () => void }).closeAllConnections?.();
      }),
  };
}
