import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Listening } from '../../cli/src/serve/listen.js';
import { launchIn, path, waitUntilReady } from './browser.js';
import { makeBase, withFolder } from './large-base.js';
import { serveBuilt } from './site.js';

/** Minutes, and gigabytes of disk: `QLORAJS_LARGE=32x2560x51200` is Phi-2's shape. */
const shape = /^(\d+)x(\d+)x(\d+)$/.exec(process.env.QLORAJS_LARGE ?? '8x1280x51200')!.slice(1);
const [layers, hidden, vocab] = shape.map(Number);
const HOUR = 3_600_000;

/** The most memory that the page's process had, in MB. */
async function peakMegabytes(browser: Browser): Promise<number> {
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send('SystemInfo.getProcessInfo');
  await session.detach();
  const peaks = processInfo
    .filter(({ type }) => type === 'renderer')
    .map(({ id }) => readFileSync(`/proc/${id}/status`, 'utf8'))
    .map((status) => Number(/VmHWM:\s+(\d+)/.exec(status)?.[1]) / 1000);
  return Math.round(Math.max(...peaks));
}

describe.skipIf(!path || process.env.QLORAJS_SLOW !== '1')(
  'a base of hundreds of megabytes through the page (QLORAJS_SLOW=1)',
  () => {
    let folder = '';
    let profile = '';
    let bytes = 0;
    let site: Listening;

    beforeAll(async () => {
      folder = mkdtempSync(join(tmpdir(), 'qlora-large-'));
      profile = mkdtempSync(join(tmpdir(), 'qlora-profile-'));
      // Phi-2's own shards are of 5 GB.
      ({ bytes } = await makeBase(folder, { layers, hidden, vocab }, hidden < 2560 ? 2e8 : 5e9));
      site = await serveBuilt((app) => withFolder(app, '/large/', folder));
    }, HOUR);

    afterAll(async () => {
      await site?.close();
      for (const each of [folder, profile]) rmSync(each, { recursive: true, force: true });
    });

    async function chat(page: Page): Promise<string> {
      await page.getByText('Cómo elige las palabras').click();
      await page.getByLabel(/Respuesta más larga/).fill('8');
      await page.getByLabel(/Respuesta más larga/).press('Tab');
      await page.getByLabel('Tu mensaje').fill('def cola(');
      await page.getByLabel('Tu mensaje').press('Enter');
      const answer = page.locator('[data-testid=answer][data-done=true]');
      await answer.waitFor({ timeout: HOUR });
      return (await answer.textContent()) ?? '';
    }

    test.each(['a folder', 'an address'] as const)(
      'from %s, and again from what is kept',
      async (from) => {
        const { browser, page, complaints } = await launchIn(join(profile, from));
        page.setDefaultTimeout(HOUR);
        await page.goto(site.url);
        await waitUntilReady(page);
        const atFirst = await peakMegabytes(browser);
        await page.getByText('Modelo', { exact: true }).click();
        const name = from === 'a folder' ? basename(folder) : 'large';
        const shares = new Set<number>();
        const watch = setInterval(async () => {
          const bar = page.getByTestId('loading').locator('progress');
          const share = await bar.getAttribute('value', { timeout: 200 }).catch(() => null);
          if (share !== null) shares.add(Number(share));
        }, 500);
        let started = performance.now();
        const seconds = () => ((performance.now() - started) / 1000).toFixed(1);
        if (from === 'a folder')
          await page
            .getByTestId('drop-model')
            .locator('input[webkitdirectory]')
            .setInputFiles(folder);
        else {
          await page.getByLabel('Id del Hub o dirección').fill('/large/');
          await page.getByRole('button', { name: 'Descargar', exact: true }).click();
        }
        await page.getByRole('button', { name: `Usar ${name} (guardado)`, exact: true }).waitFor();
        clearInterval(watch);
        const first = seconds();
        const takes = await page.getByTestId('takes').textContent();
        const loaded = await peakMegabytes(browser);
        const said = await chat(page);
        const chatted = await peakMegabytes(browser);
        started = performance.now();
        await page.reload();
        await waitUntilReady(page, HOUR);
        const reloaded = seconds();
        await page.getByText('Modelo', { exact: true }).click();
        started = performance.now();
        await page.getByRole('button', { name: `Usar ${name} (guardado)`, exact: true }).click();
        await page
          .getByTestId('ready')
          .getByText(new RegExp(`^${name},`))
          .waitFor();
        const second = seconds();
        const again = await chat(page);
        console.log(
          [
            `${layers} layers of ${hidden}, ${vocab} tokens: ${(bytes / 1e6).toFixed(0)} MB in fp16, from ${from}`,
            `first ${first} s, from what is kept ${second} s (the page itself ${reloaded} s before), ${shares.size} values of the bar`,
            `peak of the page's process: ${atFirst} MB with phi-nano, ${loaded} loaded, ${chatted} after a chat`,
            `said: ${said} / ${again}`,
            `plan: ${takes}`,
          ].join('\n'),
        );
        expect(shares.size).toBeGreaterThan(3);
        expect(again.split('tokens')[0]).toBe(said.split('tokens')[0]);
        expect(complaints.filter((text) => !/404|Failed to load/.test(text))).toEqual([]);
        await page.context().close();
      },
      2 * HOUR,
    );
  },
);
