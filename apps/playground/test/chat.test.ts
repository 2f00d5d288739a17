import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Listening } from '../../cli/src/serve/listen.js';
import { launch, openPage, path, reason, waitUntilReady } from './browser.js';
import { artefacts, serveBuilt } from './site.js';

describe.skipIf(!path)(`the playground in Chromium${reason ? `: skipped, ${reason}` : ''}`, () => {
  let site: Listening;
  let browser: Browser;

  beforeAll(async () => {
    site = await serveBuilt();
    browser = await launch();
  }, 120_000);

  afterAll(async () => {
    await browser?.close();
    await site?.close();
  });

  test('chats', async () => {
    const { page, complaints } = await openPage(browser);
    await page.goto(site.url);
    await page.screenshot({ path: `${artefacts}/start.png` });
    try {
      await waitUntilReady(page);
      await page.getByLabel('Tu mensaje').fill('¿Qué es una cola?');
      await page.getByLabel('Tu mensaje').press('Enter');
      await page.locator('[data-testid=answer][data-done=true]').waitFor({ timeout: 60_000 });
    } finally {
      await page.screenshot({ path: `${artefacts}/chat.png` });
    }
    expect(complaints).toEqual([]);
  });
});
