import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { opCases } from '@qlorajs/compute/testing';
import { type Browser, chromium } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bundleSuite } from '../../../../tools/test/browser/bundle.js';
import { findChromium } from '../../../../tools/test/browser/find-chromium.js';
import type { TestResult } from '../../../../tools/test/browser/page/vitest.js';
import { serveSuite } from '../../../../tools/test/browser/serve.js';
import type { Settings } from './page/settings.js';

const MINUTE = 60_000;
const { path, reason } = findChromium();

const namesOf = (results: readonly TestResult[]) => results.map(({ name }) => name);
const failuresOf = (results: readonly TestResult[]) => results.filter(({ error }) => error);

/** The same bytes that Chromium loads, in this process. */
async function runHere(suite: string): Promise<TestResult[]> {
  if (process.version.startsWith('v20.')) setFlagsFromString('--experimental-wasm-relaxed-simd');
  const folder = mkdtempSync(join(tmpdir(), 'qlorajs-suite-'));
  const file = join(folder, 'suite.mjs');
  writeFileSync(file, suite);
  const { run } = (await import(pathToFileURL(file).href)) as {
    run(settings: Settings): Promise<TestResult[]>;
  };
  const results = await run({ threads: 2, sharedMemory: true });
  rmSync(folder, { recursive: true });
  return results;
}

describe.skipIf(!path)(`the suite in Chromium${reason ? `: skipped, ${reason}` : ''}`, () => {
  let suite: string;
  let here: TestResult[];
  let browser: Browser;

  beforeAll(async () => {
    suite = await bundleSuite(fileURLToPath(new URL('page', import.meta.url)));
    here = await runHere(suite);
    browser = await chromium.launch({
      executablePath: path!,
      chromiumSandbox: false,
      args: [
        '--headless=new',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
      ],
    });
  }, MINUTE);

  afterAll(() => browser?.close());

  test('in Node, every case of every operation and every golden test', () => {
    expect(failuresOf(here)).toEqual([]);
    expect(new Set(namesOf(here)).size).toBe(here.length);
    for (const build of ['plain SIMD', 'relaxed SIMD'])
      for (const { name } of opCases()) expect(namesOf(here)).toContain(`${build} > ${name}`);
    expect(namesOf(here).filter((name) => name.startsWith('hf-phi/'))).toHaveLength(8);
    expect(namesOf(here).filter((name) => name.startsWith('tiny-phi'))).toHaveLength(7);
  });

  test.each([
    { isolated: true, threads: 2, title: 'with shared memory, 2 threads' },
    { isolated: false, threads: 1, title: 'without shared memory, 1 thread' },
  ])(
    'in a worker, $title: the same tests, all passed',
    async ({ isolated, threads }) => {
      const site = await serveSuite(suite, isolated);
      const page = await browser.newPage();
      await page.goto(site.url);
      expect(await page.evaluate('crossOriginIsolated')).toBe(isolated);
      const settings: Settings = { threads, sharedMemory: isolated };
      const results = (await page.evaluate(`new Promise((resolve, reject) => {
      const worker = new Worker('/worker.js', { type: 'module' });
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = ({ message }) => reject(new Error('the worker failed: ' + message));
      worker.postMessage(${JSON.stringify(settings)});
    })`)) as TestResult[];
      await page.close();
      site.close();
      expect(failuresOf(results)).toEqual([]);
      expect(namesOf(results)).toEqual(namesOf(here));
    },
    MINUTE,
  );
});
