import { timingSafeEqual } from 'node:crypto';
import type { GenerationSettings } from '@qlorajs/session';
import { type Context, Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { ApiError, toApiError } from './api-error.js';
import { chatRoute } from './chat-route.js';
import { completionsRoute } from './completions-route.js';
import type { Engine } from './engine.js';
import type { Metrics } from './metrics.js';

/** How the server treats requests. */
export interface AppOptions {
  readonly defaults: GenerationSettings;
  /** Clients must send it as `Authorization: Bearer …`; null: nobody is asked. */
  readonly token: string | null;
  /** Bytes of a request's body. */
  readonly maxBody: number;
  /** Only requests to a loopback name are answered: a page cannot reach the server by a name of its own. */
  readonly loopbackOnly: boolean;
  readonly log: (error: unknown) => void;
}

const LOOPBACK_NAME = /^(localhost|127(\.\d+){3}|\[::1\])(:\d+)?$/i;

function isSame(given: string, wanted: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(wanted)];
  return a.length === b.length && timingSafeEqual(a, b);
}

/** The routes and what stands before them. */
export function createApp(engine: Engine, metrics: Metrics, options: AppOptions): Hono {
  const app = new Hono();
  const created = Math.floor(Date.now() / 1000);
  const failure = (context: Context, error: ApiError) => {
    // 499 is nginx's for a client that is gone; nobody will read it.
    if (error.status === 429) context.header('retry-after', '1');
    return context.json(error.body, error.status as 400);
  };
  app.onError((thrown, context) => {
    const error = toApiError(thrown);
    if (error.status === 500) options.log(thrown);
    return failure(context, error);
  });
  app.notFound((context) =>
    failure(
      context,
      new ApiError(404, `Unknown request URL: ${context.req.method} ${context.req.path}`, {
        code: 'unknown_url',
      }),
    ),
  );
  app.use(async (context, next) => {
    await next();
    const known = /^\/(health|metrics|v1\/(models|completions|chat\/completions))/;
    metrics.request(known.exec(context.req.path)?.[0] ?? 'other', context.res.status);
  });
  app.use(async (context, next) => {
    const host = context.req.header('host') ?? '';
    if (options.loopbackOnly && !LOOPBACK_NAME.test(host))
      throw new ApiError(403, `this server answers to localhost only, not to "${host}"`);
    if (options.token !== null && context.req.path !== '/health') {
      const [scheme, given = ''] = (context.req.header('authorization') ?? '').split(' ');
      if (scheme.toLowerCase() !== 'bearer' || !isSame(given, options.token))
        throw new ApiError(
          401,
          'Incorrect API key provided; start with the --token of the server',
          {
            type: 'authentication_error',
            code: 'invalid_api_key',
          },
        );
    }
    await next();
  });
  app.use(
    '/v1/*',
    bodyLimit({
      maxSize: options.maxBody,
      onError: () => {
        throw new ApiError(413, `the body is larger than ${options.maxBody} bytes`, {
          code: 'request_too_large',
        });
      },
    }),
  );
  app.get('/health', (context) => context.json({ status: 'ok' }));
  app.get('/metrics', (context) => {
    const { running, waiting, cacheBytes } = engine.load;
    const { live, peak } = engine.session.backend.memory();
    return context.text(
      metrics.text({
        qlora_running: [running, 'Answers under way.'],
        qlora_waiting: [waiting, 'Answers that wait.'],
        qlora_cache_bytes: [cacheBytes, 'Bytes of key-value caches.'],
        qlora_backend_bytes: [live, 'Bytes of tensors on the device.'],
        qlora_backend_peak_bytes: [peak, 'Most bytes of tensors so far.'],
        nodejs_heap_size_used_bytes: [process.memoryUsage().heapUsed, 'JavaScript heap in use.'],
        process_resident_memory_bytes: [process.memoryUsage.rss(), 'Resident memory.'],
      }),
      200,
      { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' },
    );
  });
  const describe = (id: string) => ({ id, object: 'model', created, owned_by: 'qlora' });
  app.get('/v1/models', (context) =>
    context.json({
      object: 'list',
      data: engine.session.voices.map(({ name }) => describe(name)),
    }),
  );
  app.get('/v1/models/:id{.+}', (context) =>
    context.json(describe(engine.voice(context.req.param('id')).name)),
  );
  app.post('/v1/chat/completions', chatRoute(engine, options.defaults, options.log));
  app.post('/v1/completions', completionsRoute(engine, options.defaults, options.log));
  return app;
}
