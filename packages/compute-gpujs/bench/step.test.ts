import { fileURLToPath } from 'node:url';
import { createWasmBackend } from '@qlorajs/compute-wasm';
import { createWebGpuBackend } from '@qlorajs/compute-webgpu';
import { build } from 'esbuild';
import { GPU } from 'gpu.js';
import { chromium } from 'playwright-core';
import { describe, test } from 'vitest';
import { findChromium } from '../../../tools/test/browser/find-chromium.js';
import { serveSuite } from '../../../tools/test/browser/serve.js';
import { findGpu } from '../../compute-webgpu/test/find-gpu.js';
import { createGpuJsBackend } from '../src/index.js';
import { FLAGS } from '../test/browser/flags.js';
import { type Measured, measure } from './step.js';

const ON = process.env.QLORAJS_BENCH === '1';

function report(name: string, { callsPerSecond, slowest }: Measured): void {
  const parts = slowest.map(([call, milliseconds]) => `${call} ${milliseconds.toFixed(1)} ms`);
  console.log(`${name}: ${callsPerSecond.toFixed(1)} operations/s; ${parts.join(', ')}`);
}

/** Mode webgl2 in Chromium. */
async function inPage(path: string): Promise<Measured> {
  const packages = fileURLToPath(new URL('../../', import.meta.url));
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL('page.ts', import.meta.url))],
    ...{ bundle: true, write: false, format: 'esm', platform: 'browser', target: 'es2022' },
    plugins: [
      {
        name: 'sources',
        setup({ onResolve }) {
          onResolve({ filter: /^@qlorajs\// }, ({ path: wanted }) => {
            const [, name, file = 'index'] = wanted.split('/');
            return { path: `${packages}${name}/src/${file}.ts` };
          });
        },
      },
    ],
  });
  const site = await serveSuite(outputFiles[0].text, false);
  const browser = await chromium.launch({
    executablePath: path,
    chromiumSandbox: false,
    args: FLAGS,
  });
  const page = await browser.newPage();
  await page.goto(site.url);
  const measured = (await page.evaluate(`new Promise((resolve, reject) => {
    const worker = new Worker('/worker.js', { type: 'module' });
    worker.onmessage = ({ data }) => resolve(data);
    worker.onerror = ({ message }) => reject(new Error(message));
    worker.postMessage(null);
  })`)) as Measured;
  await browser.close();
  site.close();
  return measured;
}

describe.skipIf(!ON)(`operations a second${ON ? '' : ': skipped, QLORAJS_BENCH is not 1'}`, () => {
  test('of every engine that runs here, in one run', { timeout: 600_000 }, async () => {
    report('wasm, 1 thread', await measure(await createWasmBackend({ threads: 1 }), 50));
    report('wasm, 2 threads', await measure(await createWasmBackend({ threads: 2 }), 50));
    for (const mode of ['webasm', 'cpu'] as const)
      report(`gpujs ${mode}`, await measure(await createGpuJsBackend({ GPU, mode }), 2));
    const { gpu } = await findGpu();
    if (gpu)
      report(
        'webgpu on SwiftShader',
        await measure(await createWebGpuBackend({ gpu, tier: 'f32' }), 2),
      );
    const { path } = findChromium();
    if (path) report('gpujs webgl2 on SwiftShader', await inPage(path));
  });
});
