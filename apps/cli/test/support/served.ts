import { fileURLToPath } from 'node:url';
import { personalities } from '@qlorajs/personalities';
import { generationOptions, withDefaults } from '@qlorajs/session';
import { openSession, type Session } from '../../src/model/session.js';
import { createUi } from '../../src/report/ui.js';
import { type AppOptions, createApp } from '../../src/serve/app.js';
import { Engine, type EngineLimits } from '../../src/serve/engine.js';
import { type Listening, listen } from '../../src/serve/listen.js';
import { Metrics } from '../../src/serve/metrics.js';

export const adapterPaths = Object.fromEntries(
  personalities.map(({ name, adapter }) => [name, fileURLToPath(adapter)]),
);

/** phi-nano with some personalities, in this process. */
export function nanoSession(names: readonly string[], base = true): Promise<Session> {
  return openSession(
    {
      ...{ base: 'phi-nano', backend: 'wasm' as const, threads: 2 },
      ...{ loadIn4bit: true, bnb4bitUseDoubleQuant: true },
    },
    names.map((name) => adapterPaths[name]),
    createUi({ json: false, verbose: false, quiet: true }),
    { base },
  );
}

export interface Served extends Listening {
  readonly engine: Engine;
  /** What went wrong inside. */
  readonly failures: unknown[];
}

/** A server on a port of its own. */
export async function serveSession(
  session: Session,
  limits: Partial<EngineLimits> = {},
  options: Partial<AppOptions> = {},
): Promise<Served> {
  const metrics = new Metrics();
  const failures: unknown[] = [];
  const engine = new Engine(
    session,
    { maxBatch: 8, maxQueue: 64, requestTimeout: 60, ...limits },
    metrics,
  );
  const app = createApp(engine, metrics, {
    defaults: withDefaults(generationOptions, { maxNewTokens: 24 }),
    ...{ token: null, maxBody: 100_000, loopbackOnly: true },
    log: (error) => failures.push(error),
    ...options,
  });
  return { ...(await listen(app, '127.0.0.1', 0)), engine, failures };
}
