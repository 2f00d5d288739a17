import { Hono } from 'hono';
import type { BrowserContext } from 'playwright-core';
import type { Hub } from '../../cli/test/support/hub.js';

/** Adds a hub to the page's site under `/hub`, as another origin's server would answer: nothing exposed. */
export function withHub(site: Hono, hub: Hub): Hono {
  hub.storage = '/hub';
  return new Hono()
    .get('/hub/*', async ({ req, body }) => {
      const range = req.header('Range');
      const response = await fetch(
        hub.url + req.path.slice('/hub'.length) + new URL(req.url).search,
        {
          headers: range ? { range } : {},
          redirect: 'manual',
        },
      );
      const headers = { 'Access-Control-Allow-Origin': '*' };
      for (const name of ['location', 'content-length', 'content-range']) {
        const value = response.headers.get(name);
        if (value !== null) Object.assign(headers, { [name]: value });
      }
      return body(response.body, response.status as 200, headers);
    })
    .route('/', site);
}

/** Sends the page's requests to the Hub there. */
export async function redirectHub(context: BrowserContext, siteUrl: string): Promise<void> {
  await context.route('https://huggingface.co/**', (route) => {
    const { pathname, search } = new URL(route.request().url());
    return route.fulfill({
      status: 302,
      headers: {
        location: `${siteUrl}/hub${pathname}${search}`,
        'Access-Control-Allow-Origin': '*',
      },
    });
  });
}

/** How `/cut/phi-nano/` fails. */
export class Cut {
  /** The file that is cut; null: none is. */
  file: string | null = null;
  /** Bytes of it that come at the first request; at further ones none do. */
  readonly bytes = 2_000_000;
  /** Requests: method, file, range. */
  readonly asked: string[] = [];
}

/** Serves phi-nano a second time, over a connection that breaks. */
export function withCuts(site: Hono, cut: Cut): Hono {
  return new Hono()
    .get('/cut/phi-nano/:file', async ({ req }) => {
      const file = req.param('file');
      const range = req.header('Range') ?? '';
      cut.asked.push(`${req.method} ${file} ${range}`.trim());
      const { headers, status, body } = await site.request(`/models/phi-nano/${file}`, {
        method: req.method,
        headers: range ? { range } : {},
      });
      if (file !== cut.file || !body) return new Response(body, { status, headers });
      const isFirst = range === 'bytes=0-';
      const all = new Uint8Array(await new Response(body).arrayBuffer());
      headers.set('Content-Length', String(all.length));
      const broken = new ReadableStream({
        start: (controller) => isFirst && controller.enqueue(all.subarray(0, cut.bytes)),
        async pull(controller) {
          // Time for what came before to be sent.
          await new Promise((resolve) => setTimeout(resolve, 100));
          controller.error(new Error('cut'));
        },
      });
      return new Response(broken, { status, headers });
    })
    .route('/', site);
}
