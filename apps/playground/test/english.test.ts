import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Listening } from '../../cli/src/serve/listen.js';
import { violations } from './accessibility.js';
import { launch, openPage, path, reason, waitUntilReady } from './browser.js';
import { untranslated } from './language.js';
import { artefacts, serveBuilt } from './site.js';

const row = { text: 'Una cola es una fila: el primero que llega es el primero que sale.' };

describe.skipIf(!path)(`the page in English${reason ? `: skipped, ${reason}` : ''}`, () => {
  let site: Listening;
  let browser: Browser;
  let page: Page;
  let complaints: string[];

  beforeAll(async () => {
    site = await serveBuilt();
    browser = await launch();
    ({ page, complaints } = await openPage(browser, { locale: 'en-US' }));
    await page.goto(site.url);
    await waitUntilReady(page);
  }, 120_000);

  afterAll(async () => {
    await browser?.close();
    await site?.close();
  });

  async function dropData(text: string): Promise<void> {
    await page
      .getByTestId('drop-data')
      .locator('input[type=file]')
      .setInputFiles({
        name: 'rows.jsonl',
        mimeType: 'application/jsonl',
        buffer: Buffer.from(text),
      });
  }

  test('it chats, and says in English what a file lacks', async () => {
    expect(await page.getAttribute('html', 'lang')).toBe('en');
    await page.getByText('How it chooses words').click();
    await page.getByLabel(/Longest answer/).fill('12');
    await page.getByLabel(/Longest answer/).press('Tab');
    await page.getByText('Model', { exact: true }).click();
    await page.getByLabel('Who answers').selectOption('sql');
    await page.getByLabel('Compare with').selectOption('tutor');
    await page.getByLabel('Your message').fill('¿Cómo cuento los productos?');
    await page.getByRole('button', { name: 'Send' }).click();
    const answers = page.locator('[data-testid=answer][data-done=true]');
    await answers.nth(1).waitFor();
    await expect(answers.first().textContent()).resolves.toMatch(/\d+ tokens, [\d.]+ a second/);
    await page
      .getByTestId('drop-adapter')
      .locator('input[type=file]')
      .first()
      .setInputFiles({ name: 'a.safetensors', mimeType: '', buffer: Buffer.from('no') });
    await page.getByRole('alert').getByText('An adapter needs two files').waitFor();
    expect(await untranslated(page)).toEqual([]);
    await page.getByRole('button', { name: 'Close' }).click();
  });

  test('it trains', async () => {
    await page.getByRole('tab', { name: 'Train' }).click();
    await dropData('{"text": \n');
    await page.getByTestId('bad-rows').getByText('Line 1').waitFor();
    expect(await untranslated(page)).toEqual([]);
    await dropData(`${JSON.stringify(row)}\n`.repeat(3));
    await page.getByTestId('viewer').waitFor();
    await page.getByText('More options').click();
    await page.getByLabel(/Steps at most/).fill('2');
    await page.getByLabel(/Steps between two samples/).fill('1');
    await page.getByRole('button', { name: /Estimate/ }).click();
    await page.getByTestId('plan').getByText('It fits.').waitFor();
    await page.getByRole('button', { name: 'Start training' }).click();
    await page.locator('[data-testid=run][data-status=done]').waitFor({ timeout: 60_000 });
    await page.getByText('The same as a table').click();
    await page.getByTestId('run').getByRole('columnheader', { name: 'Learning rate' }).waitFor();
    expect(await untranslated(page)).toEqual([]);
    await page.screenshot({ path: `${artefacts}/train-english.png`, fullPage: true });
    await page.getByRole('button', { name: 'Chat with it' }).click();
    expect(await page.getByLabel('Who answers').inputValue()).toBe('my-adapter');
  });

  test('it looks inside, and shows the device', async () => {
    await page.getByRole('tab', { name: 'Look inside' }).click();
    await page.getByTestId('tokens').waitFor();
    await page.getByRole('button', { name: 'Look', exact: true }).first().click();
    await page.getByTestId('nf4').waitFor();
    await page.getByRole('button', { name: 'Look', exact: true }).last().click();
    await page.getByTestId('lora').waitFor();
    expect(await untranslated(page)).toEqual([]);
    await page.getByRole('tab', { name: 'Device' }).click();
    await page.getByText('the CPU, on all of its threads').waitFor();
    expect(await untranslated(page)).toEqual([]);
    expect(await violations(page)).toEqual([]);
    expect(complaints).toEqual([]);
  });
});
