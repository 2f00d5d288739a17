import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { formatBytes } from '@qlorajs/session';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Listening } from '../../cli/src/serve/listen.js';
import { type Hub, startHub } from '../../cli/test/support/hub.js';
import { violations } from './accessibility.js';
import { launch, openPage, path, reason, waitUntilReady } from './browser.js';
import { Cut, redirectHub, withCuts, withHub } from './fake-hub.js';
import { artefacts, serveBuilt } from './site.js';

const folder = fileURLToPath(new URL('../../../packages/phi-nano/model/', import.meta.url));
const index = 'model.safetensors.index.json';
const shard = (n: number) => `model-0000${n}-of-00003.safetensors`;

describe.skipIf(!path)(
  `the page's models in Chromium${reason ? `: skipped, ${reason}` : ''}`,
  () => {
    let hub: Hub;
    let site: Listening;
    let browser: Browser;
    let context: BrowserContext;
    let page: Page;
    let complaints: string[];
    const cut = new Cut();

    beforeAll(async () => {
      hub = await startHub('someone/phi-nano', folder);
      site = await serveBuilt((app) => withCuts(withHub(app, hub), cut));
      browser = await launch();
      ({ page, complaints } = await openPage(browser));
      context = page.context();
      await redirectHub(context, site.url);
      await page.goto(site.url);
      await waitUntilReady(page);
      await page.getByText('Modelo', { exact: true }).click();
    }, 120_000);

    afterAll(async () => {
      await browser?.close();
      await site?.close();
      await hub?.close();
    });

    /** What the page says is ready: `phi-nano, 26 MB en wasm`. */
    const ready = () => page.getByTestId('ready').textContent();

    async function closeNotices(): Promise<void> {
      const close = page.getByRole('button', { name: 'Cerrar' }).first();
      while (await close.isVisible()) await close.click();
    }

    async function expectAlert(words: RegExp): Promise<void> {
      const alerts = async () => (await page.getByRole('alert').allTextContents()).join('\n');
      await expect.poll(alerts, { timeout: 30_000, interval: 100 }).toMatch(words);
      await closeNotices();
    }

    /** A folder whose last weight is no number. */
    function damaged(scratch: string): string[] {
      const bytes = readFileSync(folder + shard(3));
      bytes.writeUInt16LE(0x7e00, bytes.length - 2);
      writeFileSync(join(scratch, shard(3)), bytes);
      const rest = ['config.json', 'tokenizer.json', index, shard(1), shard(2)];
      return [...rest.map((name) => folder + name), join(scratch, shard(3))];
    }

    async function download(address: string): Promise<void> {
      await page.getByLabel('Id del Hub o dirección').fill(address);
      await page.getByRole('button', { name: 'Descargar', exact: true }).click();
    }

    /** Drops files and folders of this computer on a place of the page. */
    async function drop(testId: string, files: string[]): Promise<void> {
      const place = page.getByTestId(testId);
      await place.scrollIntoViewIfNeeded();
      const { x, y, width, height } = (await place.boundingBox())!;
      const at = { x: x + width / 2, y: y + height / 2 };
      const session = await context.newCDPSession(page);
      const data = { items: [], files, dragOperationsMask: 1 };
      for (const type of ['dragEnter', 'dragOver', 'drop'] as const)
        await session.send('Input.dispatchDragEvent', { type, ...at, data });
      await session.detach();
    }

    async function ask(text: string): Promise<string> {
      const answers = page.locator('[data-testid=answer][data-done=true]');
      const before = await answers.count();
      await page.getByLabel('Tu mensaje').fill(text);
      await page.getByLabel('Tu mensaje').press('Enter');
      await answers.nth(before).waitFor();
      return (await answers.nth(before).locator('p').textContent()) ?? '';
    }

    test('a folder is chosen whole; the one before it stays until the new one is there', async () => {
      const input = page.getByTestId('drop-model').locator('input[webkitdirectory]');
      await input.setInputFiles(folder);
      await page
        .getByTestId('ready')
        .getByText(/^model,/)
        .waitFor();
      await page.getByRole('button', { name: 'Usar model (guardado)' }).waitFor();
      await expect(page.getByTestId('takes').textContent()).resolves.toMatch(
        /^model ocupa \d+(\.\d+)? MB de memoria, y hasta .*, de 4\.29 GB que puede tomar este motor\.$/,
      );
      expect(await ask('def cola(')).not.toBe('');
      expect(await page.getByLabel('Quién responde').inputValue()).toBe('model');
    });

    test('a folder that is dropped is read to its end', async () => {
      await drop('drop-model', [folder.replace(/\/$/, '')]);
      await page.getByTestId('loading').waitFor();
      await page
        .getByTestId('ready')
        .getByText(/^model,/)
        .waitFor();
      const adapters = fileURLToPath(
        new URL('../../../packages/personalities/adapters/', import.meta.url),
      );
      await drop('drop-adapter', [`${adapters}sql`]);
      await page.getByText('sql ya puede responder.').waitFor();
      await expect(ask('¿Cómo cuento los productos?')).resolves.toContain('SELECT');
    });

    test('folders that are none are explained, and leave the model that answers', async () => {
      const scratch = mkdtempSync(join(tmpdir(), 'qlora-model-'));
      // By their paths: 30 MB would have to pass through the debugger.
      const file = (name: string, content?: string | Buffer) => {
        if (content === undefined) return folder + name;
        const path = join(mkdtempSync(join(scratch, 'of-')), name);
        writeFileSync(path, content);
        return path;
      };
      const input = page.getByTestId('drop-model').locator('input[type=file]').first();
      const config = readFileSync(`${folder}config.json`, 'utf8');
      const larger = JSON.stringify({
        ...JSON.parse(config),
        hidden_size: 8192,
        num_hidden_layers: 48,
        num_attention_heads: 128,
        num_key_value_heads: 128,
        intermediate_size: 32768,
      });
      const shards = [index, shard(1), shard(2), shard(3)].map((name) => file(name));
      const wrong: readonly (readonly [string[], RegExp])[] = [
        [[file('tokenizer.json')], /no tiene config\.json/],
        [[file('config.json', '{"model_type": "llama"}')], /es de otro tipo/],
        [[file('config.json', '{"model_type": ')], /no es JSON/],
        [
          [file('config.json', larger), file('tokenizer.json')],
          /con una conversación llena ocupa \d+.* GB .* el motor tiene 4\.29 GB/,
        ],
        [[file('config.json')], /tokenizador de la carpeta falta/],
        [[file('config.json'), file('tokenizer.json')], /no tiene pesos/],
        [
          [file('config.json'), file('tokenizer.json'), file(index), file(shard(1))],
          /dañado o no es safetensors/,
        ],
        [
          [
            file('config.json', config.replace(/"hidden_size": \d+/, '"hidden_size": 640')),
            file('tokenizer.json'),
            ...shards,
          ],
          /no corresponden a este config/,
        ],
        // It is seen when weights are on the engine, beside those of the model before it.
        [damaged(scratch), /no son números/],
        [
          [file('config.json'), file('tokenizer.json', '{"model": '), ...shards],
          /no es JSON|tokenizador/,
        ],
      ];
      for (const [files, expected] of wrong) {
        await input.setInputFiles(files);
        await expectAlert(expected);
        expect(await ready()).toMatch(/^model,/);
      }
      expect(await page.getByLabel('Quién responde').inputValue()).toBe('sql');
      await expect(ask('¿Cómo cuento los productos?')).resolves.toContain('SELECT');
      rmSync(scratch, { recursive: true });
    });

    test('a download that is stopped inside a file goes on there, after a reload', async () => {
      const part = 3_000_000;
      hub.meddle = (name, rest, response) => {
        if (name !== shard(2)) return false;
        response.write(rest.subarray(0, part)); // and no more
        return true;
      };
      await download('someone/phi-nano');
      const size = (name: string) => statSync(folder + name).size;
      const texts = [
        'config.json',
        'tokenizer.json',
        'tokenizer_config.json',
        'generation_config.json',
      ];
      const before = [...texts.filter((name) => existsSync(folder + name)), index, shard(1)];
      const total = before.reduce((sum, name) => sum + size(name), size(shard(2)) + size(shard(3)));
      const come = before.reduce((sum, name) => sum + size(name), part);
      await page
        .getByTestId('loading')
        .getByText(`Descargando el modelo… ${formatBytes(come)} de ${formatBytes(total)}`)
        .waitFor();
      await page.screenshot({ path: `${artefacts}/download.png` });
      await page.setViewportSize({ width: 390, height: 844 });
      await page.screenshot({ path: `${artefacts}/download-phone.png`, fullPage: true });
      await page.setViewportSize({ width: 1280, height: 720 });
      expect(await violations(page)).toEqual([]);
      await page.getByRole('button', { name: 'Parar la carga' }).click();
      await expectAlert(/Se paró la carga/);
      expect(await ready()).toMatch(/^model,/);
      await page.reload();
      await waitUntilReady(page);
      hub.asked.length = 0;
      hub.meddle = () => false;
      await page.getByText('Modelo', { exact: true }).click();
      await download('https://huggingface.co/someone/phi-nano/');
      await page.getByRole('button', { name: 'Usar someone_phi-nano (guardado)' }).waitFor();
      const asked = hub.asked.filter(({ path }) => path.startsWith('/storage/'));
      expect(asked.map(({ path, headers }) => [path.split('/').at(-1), headers.range])).toEqual([
        [shard(2), `bytes=${part}-`],
        [shard(3), undefined],
      ]);
      expect(await ready()).toMatch(/^someone\/phi-nano,/);
      expect(await ask('def cola(')).not.toBe('');
    });

    test('a file that comes damaged twice is thrown away', async () => {
      hub.meddle = (name, rest, response) => {
        if (name !== shard(3)) return false;
        const spoiled = Buffer.from(rest);
        spoiled[1000] ^= 1;
        response.end(spoiled);
        return true;
      };
      await download('someone/phi-nano');
      await expectAlert(/llegó dañado dos veces/);
      hub.meddle = () => false;
      await download('someone/other');
      await expectAlert(/no da ese modelo/);
      await download('ni id ni dirección');
      await expectAlert(/ni el id de un modelo/);
      expect(await ready()).toMatch(/^someone\/phi-nano,/);
    });

    test('a folder at an address: a cut is taken up inside the file, what is kept opens alone', async () => {
      cut.file = shard(2);
      await download('/cut/phi-nano/');
      await expectAlert(/Los archivos no llegaron/);
      cut.file = null;
      cut.asked.length = 0;
      await download('/cut/phi-nano/');
      await page.getByRole('button', { name: 'Usar phi-nano (guardado)', exact: true }).waitFor();
      expect(cut.asked.filter((each) => /^GET model-/.test(each))).toEqual([
        `GET ${shard(2)} bytes=${cut.bytes}-`,
      ]);
      const asked: string[] = [];
      page.on('request', (request) => asked.push(request.url()));
      await page.getByRole('button', { name: 'Usar phi-nano (guardado)', exact: true }).click();
      await page.getByTestId('loading').waitFor();
      await page.getByTestId('ready').waitFor();
      expect(asked.filter((url) => !url.includes('/assets/'))).toEqual([]);
      expect(await ask('def cola(')).not.toBe('');
    });

    test('a download that the browser has no room for ends in words', async () => {
      const session = await context.newCDPSession(page);
      const { usage } = (await page.evaluate('navigator.storage.estimate()')) as { usage: number };
      // Chromium tells a page the same round figure whatever it grants, so that it comes as a surprise.
      const quota = { origin: site.url, quotaSize: usage + 5_000_000 };
      await session.send('Storage.overrideQuotaForOrigin', quota);
      await download('someone/phi-nano');
      await expectAlert(/El almacenamiento del navegador está lleno/);
      expect(await ready()).toMatch(/^phi-nano,/);
      await session.send('Storage.overrideQuotaForOrigin', { origin: site.url });
    });

    test('little memory and storage: what does not fit is said first; what fails without room for two leaves none', async () => {
      const { page: small } = await openPage(browser);
      // A host that reserves no more than 96 MB, and whose browser keeps 5.
      await small.route('**/assets/worker-*.js', async (route) => {
        const response = await route.fetch();
        const limit =
          'const { Memory } = WebAssembly; WebAssembly.Memory = class extends Memory { constructor(options) { if (options.maximum > 1535) throw new RangeError("too much"); super(options); } }; StorageManager.prototype.estimate = async () => ({ usage: 0, quota: 5e6 });\n';
        await route.fulfill({ response, body: limit + (await response.text()) });
      });
      await small.goto(site.url);
      await waitUntilReady(small);
      // With its conversation it takes more than half of what there is.
      await small.getByLabel('Tu mensaje').fill('hola');
      await small.getByLabel('Tu mensaje').press('Enter');
      await small.locator('[data-testid=answer][data-done=true]').waitFor();
      await small.getByText('Modelo', { exact: true }).click();
      await redirectHub(small.context(), site.url);
      hub.asked.length = 0;
      await small.getByLabel('Id del Hub o dirección').fill('someone/phi-nano');
      await small.getByRole('button', { name: 'Descargar', exact: true }).click();
      const room =
        /Esto ocupa 4\d\.\d MB del almacenamiento del navegador, al que le quedan 5\.00 MB/;
      await small.getByRole('alert').getByText(room).waitFor();
      expect(hub.asked.filter(({ path }) => path.includes('safetensors'))).toEqual([]);
      const scratch = mkdtempSync(join(tmpdir(), 'qlora-model-'));
      const input = small.getByTestId('drop-model').locator('input[type=file]').first();
      await input.setInputFiles(damaged(scratch));
      await small
        .getByRole('alert')
        .getByText(/no son números/)
        .waitFor();
      await small.getByText('No hay ningún modelo cargado').waitFor();
      expect(await small.getByRole('button', { name: 'Enviar' }).isDisabled()).toBe(true);
      await small.getByRole('button', { name: 'Usar phi-nano', exact: true }).click();
      await waitUntilReady(small);
      await small.getByTestId('drop-model').locator('input[webkitdirectory]').setInputFiles(folder);
      await small
        .getByRole('alert')
        .getByText(/no tiene sitio para guardarlo/)
        .waitFor();
      await small
        .getByTestId('ready')
        .getByText(/^model,/)
        .waitFor();
      rmSync(scratch, { recursive: true });
      await small.close();
    });

    test('nothing was complained about on the way', () => {
      expect(complaints.filter((text) => !/ERR_|404|Failed to load/.test(text))).toEqual([]);
    });
  },
);
