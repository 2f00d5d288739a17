import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';
import { bundleSuite } from '../../../tools/test/browser/bundle.js';
import type { TestResult } from '../../../tools/test/browser/page/vitest.js';
import type { Settings } from './browser/page/settings.js';

const PAGE = fileURLToPath(new URL('browser/page', import.meta.url));
const GOLDENS =
  process.env.QLORAJS_SLOW === '1' ? /^golden-.*\.test\.ts$/ : /^golden-tiny-phi\.test\.ts$/;

/** The model's golden tests, as a page gets them, in this process. */
async function runGoldens(settings: Settings): Promise<TestResult[]> {
  const folder = mkdtempSync(join(tmpdir(), 'qlorajs-gpujs-'));
  const file = join(folder, 'suite.mjs');
  writeFileSync(file, await bundleSuite(PAGE, [], GOLDENS));
  const { run } = (await import(pathToFileURL(file).href)) as {
    run(settings: Settings): Promise<TestResult[]>;
  };
  const results = await run(settings);
  rmSync(folder, { recursive: true });
  return results;
}

describe.each(['cpu', 'webasm'] as const)('mode %s', (mode) => {
  test('logits, gradients and trajectories of transformers and peft', {
    timeout: 300_000,
  }, async () => {
    const results = await runGoldens({ mode });
    expect(results.filter(({ error }) => error)).toEqual([]);
    const names = results.map(({ name }) => name);
    expect(names.filter((name) => name.startsWith('tiny-phi'))).toHaveLength(7);
  });
});
