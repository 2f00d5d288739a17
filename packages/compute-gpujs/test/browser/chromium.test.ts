import { fileURLToPath } from 'node:url';
import { opCases } from '@qlorajs/compute/testing';
import { type Browser, chromium } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bundleSuite } from '../../../../tools/test/browser/bundle.js';
import { findChromium } from '../../../../tools/test/browser/find-chromium.js';
import type { TestResult } from '../../../../tools/test/browser/page/vitest.js';
import { serveSuite } from '../../../../tools/test/browser/serve.js';
import { FLAGS } from './flags.js';
import type { Settings } from './page/settings.js';

const MINUTE = 60_000;
const PAGE = fileURLToPath(new URL('page', import.meta.url));
/** All of them take minutes on a GPU in software: `QLORAJS_SLOW=1`. */
const GOLDENS =
  process.env.QLORAJS_SLOW === '1' ? /^golden-.*\.test\.ts$/ : /^golden-tiny-phi\.test\.ts$/;
const { path, reason } = findChromium();

/** What took longest. */
function slowest(results: readonly TestResult[]): string {
  const sorted = [...results].sort((a, b) => b.milliseconds - a.milliseconds);
  const lines = sorted
    .slice(0, 25)
    .map((each) => `${each.milliseconds.toFixed(0)} ms ${each.name}`);
  const total = results.reduce((sum, each) => sum + each.milliseconds, 0);
  return [`${results.length} tests, ${total.toFixed(0)} ms`, ...lines].join('\n');
}

describe.skipIf(!path)(`gpu.js in Chromium${reason ? `: skipped, ${reason}` : ''}`, () => {
  let suite: string;
  let browser: Browser;

  beforeAll(async () => {
    suite = await bundleSuite(PAGE, ['op-suite.ts', 'webgl.ts'], GOLDENS);
    browser = await chromium.launch({
      executablePath: path!,
      chromiumSandbox: false,
      args: FLAGS,
    });
  }, MINUTE);

  afterAll(() => browser?.close());

  test.each(['webgl2', 'webgl'] as const)(
    'in a worker in mode %s, every case of every operation and the golden tests',
    async (mode) => {
      const site = await serveSuite(suite, false);
      const page = await browser.newPage();
      await page.goto(site.url);
      const settings: Settings = { mode };
      const results = (await page.evaluate(`new Promise((resolve, reject) => {
      const worker = new Worker('/worker.js', { type: 'module' });
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = ({ message }) => reject(new Error('the worker failed: ' + message));
      worker.postMessage(${JSON.stringify(settings)});
    })`)) as TestResult[];
      await page.close();
      site.close();
      if (process.env.QLORAJS_SLOW === '1') console.log(slowest(results));
      expect(results.filter(({ error }) => error)).toEqual([]);
      const names = results.map(({ name }) => name);
      for (const { name } of opCases()) expect(names).toContain(`operations > ${name}`);
      expect(names.filter((name) => name.startsWith('tiny-phi'))).toHaveLength(7);
    },
    10 * MINUTE,
  );
});
