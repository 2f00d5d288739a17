import { QLoraError } from '@qlorajs/errors';
import {
  adaptersOption,
  backendOptions,
  generationOptions,
  integer,
  number,
  option,
  optional,
  optionalBaseOption,
  quantizationOptions,
  text,
} from '@qlorajs/session';
import { openSession } from '../model/session.js';
import { onInterrupt } from '../report/interrupt.js';
import { createApp } from '../serve/app.js';
import { Engine } from '../serve/engine.js';
import { isLoopback, listen } from '../serve/listen.js';
import { Metrics } from '../serve/metrics.js';
import { verb } from './verb.js';

export const serve = verb({
  name: 'serve',
  summary: 'an OpenAI-compatible HTTP server; models are the base and the adapters',
  options: {
    ...optionalBaseOption,
    ...adaptersOption,
    port: option(integer(0, 65535), 8177, 'where it listens; 0 takes any that is free'),
    host: option(text('ADDRESS'), '127.0.0.1', 'another one than loopback needs --token'),
    token: optional(text('TEXT'), 'clients must send it as their API key (or QLORA_TOKEN)'),
    max_batch: option(integer(1), 16, 'answers computed together'),
    max_queue: option(integer(0), 64, 'answers that may wait; more get status 429'),
    max_body: option(integer(1), 1_000_000, 'bytes of a request'),
    request_timeout: option(number(0.001), 300, 'seconds an answer may take, waiting included'),
    ...generationOptions,
    ...quantizationOptions,
    ...backendOptions,
  },
  async run(options, ui) {
    const token = options.token ?? process.env.QLORA_TOKEN ?? null;
    const loopbackOnly = isLoopback(options.host);
    if (!loopbackOnly && token === null)
      throw new QLoraError(
        'SERVE_TOKEN',
        `--host ${options.host} lets other machines in: give a --token that clients must know, or leave --host out`,
      );
    const { signal, dispose } = onInterrupt(() => ui.info('stopping'));
    const session = await openSession(options, options.adapter ?? [], ui, { signal, base: true });
    try {
      session.model.attach(null);
      const metrics = new Metrics();
      const engine = new Engine(session, options, metrics);
      const log = (error: unknown) =>
        ui.warn((error instanceof Error && error.stack) || String(error));
      const app = createApp(engine, metrics, {
        ...{ defaults: options, token, loopbackOnly, log, maxBody: options.maxBody },
      });
      const server = await listen(app, options.host, options.port);
      const models = session.voices.map(({ name }) => name);
      ui.info(`models: ${models.join(', ')}; Ctrl-C stops`);
      ui.print(`${server.url}\n`);
      ui.result({ url: server.url, models });
      await new Promise<void>((resolve) => {
        if (signal.aborted) resolve();
        signal.addEventListener('abort', () => resolve(), { once: true });
      });
      await server.close();
      await engine.idle();
      return 0;
    } finally {
      dispose();
      await session.close();
    }
  },
});
