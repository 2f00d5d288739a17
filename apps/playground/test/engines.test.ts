import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Listening } from '../../cli/src/serve/listen.js';
import { launch, openPage, path, reason, waitUntilReady } from './browser.js';
import { serveBuilt, servePlain } from './site.js';

const SLOW = 180_000;

/** The engine in use, and why the ones before it are not. */
async function engineOf(page: Page): Promise<{ name: string | null; text: string }> {
  await page.getByRole('tab', { name: 'Equipo' }).click();
  const shown = page.getByTestId('engine');
  await shown.waitFor();
  const name = await shown.getAttribute('data-engine');
  const text = (await page.locator('main').textContent()) ?? '';
  await page.getByRole('tab', { name: 'Chat' }).click();
  return { name, text };
}

/** Runs `script` at the beginning of the page's worker. */
async function inWorker(page: Page, script: string): Promise<void> {
  await page.route('**/assets/worker-*.js', async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, body: `${script}\n${await response.text()}` });
  });
}

const NO_WEBGPU = "Object.defineProperty(navigator, 'gpu', { value: undefined });";
const NO_SIMD =
  "WebAssembly.validate = () => false; WebAssembly.compile = () => Promise.reject(new Error('no SIMD'));";
/** The browser takes its WebGL contexts away when the page says `lose`. */
const LOSABLE = `{
  const contexts = [];
  const { prototype } = OffscreenCanvas;
  const { getContext } = prototype;
  prototype.getContext = function (...args) {
    const context = getContext.apply(this, args);
    if (context !== null) contexts.push(context);
    return context;
  };
  new BroadcastChannel('lose').onmessage = () => {
    for (const each of contexts) each.getExtension('WEBGL_lose_context')?.loseContext();
  };
}`;

/** The first token of the SQL adapter's answer. */
async function firstToken(page: Page): Promise<string> {
  await page.getByText('Cómo elige las palabras').click();
  await page.getByLabel(/Respuesta más larga/).fill('1');
  await page.getByLabel(/Respuesta más larga/).press('Tab');
  await page.getByLabel('Quién responde').selectOption('sql');
  await page.getByLabel('Tu mensaje').fill('¿Cómo cuento los productos?');
  await page.getByLabel('Tu mensaje').press('Enter');
  const answer = page.locator('[data-testid=answer][data-done=true]');
  await answer.waitFor({ timeout: SLOW });
  return (await answer.locator('p').textContent()) ?? '';
}

describe.skipIf(!path)(
  `the page's engines in Chromium${reason ? `: skipped, ${reason}` : ''}`,
  () => {
    let site: Listening;
    let plain: Listening;
    let browser: Browser;
    /** What the CPU engine says. */
    let expected: string;

    beforeAll(async () => {
      site = await serveBuilt();
      plain = await servePlain(site.url);
      browser = await launch();
    }, 120_000);

    afterAll(async () => {
      await browser?.close();
      await plain?.close();
      await site?.close();
    });

    test('auto: the CPU with threads, since the only GPU is one in software', async () => {
      const { page, complaints } = await openPage(browser);
      await page.goto(site.url);
      await waitUntilReady(page);
      const { name, text } = await engineOf(page);
      expect(name).toBe('wasm');
      expect(text).toMatch(/software|WebGPU/);
      expected = await firstToken(page);
      expect(expected.trim()).not.toBe('');
      expect(complaints).toEqual([]);
      await page.close();
    });

    test('a server that sends no headers: a service worker isolates the page, which has threads', async () => {
      const { page } = await openPage(browser);
      await page.goto(plain.url);
      await waitUntilReady(page);
      expect(await page.evaluate('crossOriginIsolated')).toBe(true);
      expect((await engineOf(page)).name).toBe('wasm');
      await page.close();
    });

    test('neither headers nor service workers: one thread, the same answer', async () => {
      const { page } = await openPage(browser, { serviceWorkers: 'block' });
      await page.goto(plain.url);
      await waitUntilReady(page);
      const { name, text } = await engineOf(page);
      expect(name).toBe('wasm1');
      expect(text).toContain('cross-origin isolated');
      expect(await firstToken(page)).toBe(expected);
      await page.close();
    });

    test('?backend=webgpu: the same answer', async () => {
      const { page } = await openPage(browser);
      await page.goto(`${site.url}/?backend=webgpu`);
      await waitUntilReady(page, SLOW);
      expect((await engineOf(page)).name).toBe('webgpu');
      expect(await firstToken(page)).toBe(expected);
      await page.close();
    }, 400_000);

    test('auto without WebGPU and without SIMD: gpu.js on WebGL2, the same answer', async () => {
      const { page } = await openPage(browser);
      // A browser that has neither.
      await inWorker(page, `${NO_WEBGPU} ${NO_SIMD} ${LOSABLE}`);
      await page.goto(site.url);
      await waitUntilReady(page, SLOW);
      const { name, text } = await engineOf(page);
      expect(name).toBe('gpujs');
      expect(text).toContain('webgl2');
      expect(await firstToken(page)).toBe(expected);

      await page.evaluate("new BroadcastChannel('lose').postMessage(null)");
      await page.getByLabel('Tu mensaje').fill('¿Y los clientes?');
      await page.getByLabel('Tu mensaje').press('Enter');
      const told = page.getByText(/El navegador retiró la tarjeta gráfica\. Recarga la página/);
      await told.first().waitFor({ timeout: SLOW });
      await page.close();
    }, 400_000);

    test('a model beyond the limit of WebGL2 textures is refused in words', async () => {
      const { page } = await openPage(browser);
      await inWorker(
        page,
        `{
          const { prototype } = WebGL2RenderingContext;
          const { getParameter } = prototype;
          prototype.getParameter = function (name) {
            return name === this.MAX_TEXTURE_SIZE ? 64 : getParameter.call(this, name);
          };
        }`,
      );
      await page.goto(`${site.url}/?backend=gpujs`);
      await page
        .getByText(/Eso es demasiado grande para WebGL2/)
        .first()
        .waitFor({ timeout: SLOW });
      await page.close();
    }, 400_000);

    /** Losses of two steps on short rows, as the table shows them. */
    async function trained(backend: string): Promise<number[]> {
      const { page } = await openPage(browser);
      await page.goto(`${site.url}/?backend=${backend}`);
      await waitUntilReady(page, SLOW);
      await page.getByRole('tab', { name: 'Entrenar' }).click();
      const row = { text: 'Una cola es una fila: el primero que llega es el primero que sale.' };
      await page
        .getByTestId('drop-data')
        .locator('input[type=file]')
        .setInputFiles({
          name: 'corta.jsonl',
          mimeType: 'application/jsonl',
          buffer: Buffer.from(`${JSON.stringify(row)}\n`.repeat(2)),
        });
      await page.getByTestId('data-summary').waitFor();
      await page.getByText('Más opciones').click();
      await page.getByLabel(/Filas a la vez/).fill('1');
      await page.getByLabel(/Pasos como máximo/).fill('2');
      await page.getByLabel(/Pasos entre dos muestras/).fill('0');
      await page.getByLabel(/Pasos entre dos puntos/).fill('2');
      await page.getByRole('button', { name: 'Empezar a entrenar' }).click();
      await page.locator('[data-testid=run][data-status=done]').waitFor({ timeout: 10 * SLOW });
      await page.getByText('Lo mismo en una tabla').click();
      const cells = await page.locator('[data-testid=run] tbody td:nth-child(2)').allTextContents();
      await page.close();
      return cells.map(Number);
    }

    // Minutes on a GPU in software.
    test.skipIf(process.env.QLORAJS_SLOW !== '1').each(['gpujs', 'webgpu'])(
      '?backend=%s trains phi-nano to the losses of the CPU engine',
      async (backend) => {
        const expectedLosses = await trained('wasm1');
        const started = performance.now();
        const losses = await trained(backend);
        const seconds = ((performance.now() - started) / 1000).toFixed(0);
        console.log(`${backend}: losses ${losses} in ${seconds} s; wasm1: ${expectedLosses}`);
        expect(losses).toHaveLength(2);
        for (const [step, loss] of losses.entries())
          expect(loss).toBeCloseTo(expectedLosses[step], 2);
      },
      20 * SLOW,
    );

    test('an engine that does not start is explained', async () => {
      const { page } = await openPage(browser);
      await inWorker(page, NO_WEBGPU);
      await page.goto(`${site.url}/?backend=webgpu`);
      await page
        .getByRole('alert')
        .getByText(/no tiene WebGPU/)
        .waitFor();
      await page.close();
    });
  },
);
