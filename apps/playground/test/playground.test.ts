import { copyFileSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { unzipSync } from 'fflate';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Listening } from '../../cli/src/serve/listen.js';
import { violations } from './accessibility.js';
import { launch, openPage, path, reason, waitUntilReady, watchTasks } from './browser.js';
import { artefacts, bundleFiles, gzippedBytes, serveBuilt } from './site.js';

const ROWS = readFileSync(
  fileURLToPath(new URL('../../../packages/personalities/data/stories.jsonl', import.meta.url)),
  'utf8',
)
  .split('\n')
  .slice(0, 20)
  .join('\n');

const data = (name: string, text: string | Buffer) => ({
  name,
  mimeType: 'application/jsonl',
  buffer: Buffer.from(text),
});

async function dropData(page: Page, name: string, text: string | Buffer): Promise<void> {
  await page.getByTestId('drop-data').locator('input[type=file]').setInputFiles(data(name, text));
}

/** Opens the training tab with rows and ten steps asked for. */
async function prepareRun(page: Page, name: string): Promise<void> {
  await page.getByRole('tab', { name: 'Entrenar' }).click();
  await dropData(page, 'cuentos.jsonl', ROWS);
  await page.getByTestId('viewer').waitFor();
  await page.getByLabel('Nombre del adaptador').fill(name);
  await page.getByText('Más opciones').click();
  await page.getByLabel(/Pasos como máximo/).fill('10');
  await page.getByLabel(/Pasos entre dos muestras/).fill('5');
}

const runAt = (page: Page, status: string) =>
  page.locator(`[data-testid=run][data-status=${status}]`);

async function downloadRun(page: Page): Promise<Record<string, Uint8Array>> {
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('button', { name: 'Descargar', exact: true }).first().click(),
  ]);
  const file = await download.path();
  copyFileSync(file, `${artefacts}/${download.suggestedFilename()}`);
  return unzipSync(new Uint8Array(readFileSync(file)));
}

describe.skipIf(!path)(`the playground in Chromium${reason ? `: skipped, ${reason}` : ''}`, () => {
  let site: Listening;
  let browser: Browser;
  let context: BrowserContext;
  let page: Page;
  let complaints: string[];
  /** Files of the page that the first visit asked for. */
  let loaded: ReadonlySet<string>;

  beforeAll(async () => {
    site = await serveBuilt();
    browser = await launch();
    ({ page, complaints } = await openPage(browser));
    context = page.context();
    const asked = new Set<string>();
    const note = (request: { url(): string }) => {
      const [, file] = /\/assets\/([^/?]+)$/.exec(request.url()) ?? [];
      if (file) asked.add(file);
    };
    context.on('request', note);
    await page.goto(site.url);
    await waitUntilReady(page);
    context.off('request', note);
    loaded = asked;
  }, 120_000);

  afterAll(async () => {
    await browser?.close();
    await site?.close();
  });

  test('what loads until it can chat is below 300 kB, gzipped', () => {
    const files = [...loaded].filter((file) => /\.(js|css)$/.test(file));
    const bytes = gzippedBytes(files);
    const all = gzippedBytes(bundleFiles());
    console.log(
      `until it can chat: ${bytes} bytes in ${files.length} files; all but gpu.js: ${all}`,
    );
    expect(bytes).toBeGreaterThan(100_000);
    expect(bytes).toBeLessThan(300_000);
    expect(all).toBeLessThan(380_000);
  });

  test('it is isolated, has a strict policy, and says in Spanish that it is ready', async () => {
    expect(await page.evaluate('crossOriginIsolated')).toBe(true);
    const headers = (await page.request.get(site.url)).headers();
    const policy = headers['content-security-policy'];
    expect(policy).toContain("default-src 'none'");
    expect(policy.match(/'[a-z-]*unsafe-[a-z-]+'/g)).toEqual(["'wasm-unsafe-eval'"]);
    await expect(page.getByTestId('ready').textContent()).resolves.toContain('en wasm');
    expect(await page.getAttribute('html', 'lang')).toBe('es');
  });

  test('a personality answers as it comes, is stopped, and another goes on', async () => {
    await page.getByLabel('Quién responde').selectOption('stories');
    await page.getByLabel('Tu mensaje').fill('Cuéntame un cuento sobre una luna.');
    await page.getByLabel('Tu mensaje').press('Enter');
    const done = page.locator('[data-testid=answer][data-done=true]');
    await done.first().waitFor();
    expect((await done.first().textContent())?.length).toBeGreaterThan(40);
    await page.getByLabel('Quién responde').selectOption('sql');
    await page.getByLabel('Tu mensaje').fill('¿Cómo cuento los productos?');
    await page.getByRole('button', { name: 'Enviar' }).click();
    await done.nth(1).waitFor();
    await expect(done.nth(1).textContent()).resolves.toContain('SELECT');
    await page.getByLabel('Quién responde').selectOption('phi-nano');
    await page.getByLabel('Tu mensaje').fill('def quicksort(');
    await page.getByRole('button', { name: 'Enviar' }).click();
    await page.getByRole('button', { name: 'Parar' }).click();
    await done.nth(2).waitFor();
    await expect(done.nth(2).textContent()).resolves.toContain('Parado.');
  });

  test('two adapters answer side by side', async () => {
    await page.getByRole('button', { name: 'Chat nuevo' }).click();
    await page.getByLabel('Quién responde').selectOption('tutor');
    await page.getByLabel('Comparar con').selectOption('stories');
    await page.getByLabel('Tu mensaje').fill('¿Qué es una cola?');
    await page.getByLabel('Tu mensaje').press('Enter');
    const done = page.locator('[data-testid=answer][data-done=true]');
    await done.nth(1).waitFor();
    const [first, second] = await done.allTextContents();
    expect(first).toContain('tutor');
    expect(second).toContain('stories');
    expect(first.slice(5)).not.toBe(second.slice(7));
    expect(await violations(page)).toEqual([]);
    await page.screenshot({ path: `${artefacts}/chat-light.png` });
    await page.getByLabel('Comparar con').selectOption('');
  });

  test('a dropped PEFT folder answers; files that are none are explained', async () => {
    const adapter = (file: string) =>
      fileURLToPath(
        new URL(`../../../packages/personalities/adapters/sql/${file}`, import.meta.url),
      );
    const input = page.getByTestId('drop-adapter').locator('input[type=file]').first();
    const names = ['adapter_config.json', 'adapter_model.safetensors', 'tokenizer.json'];
    await input.setInputFiles(
      [...names, 'tokenizer_config.json', 'chat_template.jinja'].map((name) => ({
        name: name === 'adapter_model.safetensors' ? 'mi-sql.safetensors' : name,
        mimeType: 'application/octet-stream',
        buffer: readFileSync(adapter(name)),
      })),
    );
    await page.getByText('mi-sql ya puede responder.').waitFor();
    expect(await page.getByLabel('Quién responde').inputValue()).toBe('mi-sql');
    const config = readFileSync(adapter('adapter_config.json'), 'utf8');
    const weights = readFileSync(adapter('adapter_model.safetensors'));
    const withTargets = (pattern: string) =>
      JSON.stringify({ ...JSON.parse(config), target_modules: pattern });
    const wrong: readonly (readonly [string, Record<string, string | Buffer>, RegExp])[] = [
      ['no config', { 'adapter_model.safetensors': weights }, /necesita dos archivos/],
      [
        'cut weights',
        { 'adapter_config.json': config, 'adapter_model.safetensors': weights.subarray(0, 5000) },
        /dañado o no es safetensors/,
      ],
      [
        'no weights at all',
        { 'adapter_config.json': config, 'adapter_model.safetensors': Buffer.from('hola') },
        /dañado o no es safetensors/,
      ],
      [
        'no JSON',
        { 'adapter_config.json': '{"r": ', 'adapter_model.safetensors': weights },
        /no es JSON/,
      ],
      [
        'another shape',
        {
          'adapter_config.json': config.replace(/"r": \d+/, '"r": 3'),
          'adapter_model.safetensors': weights,
        },
        /otro modelo/,
      ],
      [
        // Never done with by backtracking: every character doubles the ways to read the ones before it.
        'a pattern without an end',
        {
          'adapter_config.json': withTargets('(([a-z._0-9])+)+[.]nowhere'),
          'adapter_model.safetensors': weights,
        },
        /pide algo que aquí no está/,
      ],
      [
        'a pattern that is none',
        { 'adapter_config.json': withTargets('(q_proj'), 'adapter_model.safetensors': weights },
        /con un patrón que aquí no se puede leer/,
      ],
    ];
    for (const [, files, expected] of wrong) {
      await input.setInputFiles(
        Object.entries(files).map(([name, content]) => ({
          name,
          mimeType: 'application/octet-stream',
          buffer: Buffer.from(content),
        })),
      );
      await page.getByRole('alert').getByText(expected).first().waitFor();
      const close = page.getByRole('button', { name: 'Cerrar' }).first();
      while (await close.isVisible()) await close.click();
    }
  });

  test('data files that cannot be used are explained, row by row', async () => {
    await page.getByRole('tab', { name: 'Entrenar' }).click();
    const wrong: readonly (readonly [string | Buffer, RegExp])[] = [
      ['{"messages": [{"role": "user", "content": "a"}]\n', /Línea 1.*no es JSON/],
      ['{"messages": []}\n', /Línea 1.*no tiene una forma/],
      ['[\n{"text": "a"}\n]\n', /un solo documento JSON/],
      [Buffer.from('hola', 'utf16le'), /(UTF-8|no es JSON)/],
      [Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from('{"text":"a"}', 'utf16le')]), /UTF-8/],
      ['', /no tiene filas/],
      [readFileSync(fileURLToPath(new URL('../public/icon.svg', import.meta.url))), /no es JSON/],
    ];
    for (const [text, expected] of wrong) {
      await dropData(page, 'mala.jsonl', text);
      await expect
        .poll(() => page.getByTestId('bad-rows').textContent(), { timeout: 5000 })
        .toMatch(expected);
    }
    await page.screenshot({ path: `${artefacts}/bad-rows.png`, fullPage: true });
    expect(await violations(page)).toEqual([]);
  });

  test('ten steps, with a reload in their midst, give the bytes of ten steps without', async () => {
    await prepareRun(page, 'entero');
    await page.getByRole('button', { name: /Calcular/ }).click();
    await expect(page.getByTestId('plan').textContent()).resolves.toMatch(/Cabe\./);
    const tasks = await watchTasks(browser, page);
    await page.getByRole('button', { name: 'Empezar a entrenar' }).click();
    await runAt(page, 'done').waitFor({ timeout: 120_000 });
    const { processor, wall } = await tasks();
    console.log(`longest task while training: ${processor} ms of processor time, ${wall} ms`);
    expect(processor).toBeLessThan(50);
    const whole = await downloadRun(page);
    await page.screenshot({ path: `${artefacts}/train-light.png`, fullPage: true });
    await page.getByTestId('run').scrollIntoViewIfNeeded();
    await page.getByTestId('run').screenshot({ path: `${artefacts}/run.png` });
    expect(await violations(page)).toEqual([]);

    await prepareRun(page, 'cortado');
    await page.getByRole('button', { name: 'Empezar a entrenar' }).click();
    await page.waitForFunction(() => {
      const run = document.querySelector<HTMLElement>('[data-testid=run]');
      const step = Number(run?.dataset.step);
      return run?.dataset.status === 'running' && step >= 4 && step < 9;
    });
    await page.reload();
    await waitUntilReady(page);
    await page.getByRole('tab', { name: 'Entrenar' }).click();
    await page.locator('[data-testid=stored-run][data-status=interrupted]').waitFor();
    await page.screenshot({ path: `${artefacts}/interrupted.png`, fullPage: true });
    await page.getByRole('button', { name: 'Continuar' }).click();
    await runAt(page, 'done').waitFor({ timeout: 120_000 });
    const cut = await downloadRun(page);
    const weights = 'adapter_model.safetensors';
    expect(cut[`cortado/${weights}`].length).toBeGreaterThan(100_000);
    expect(Buffer.compare(cut[`cortado/${weights}`], whole[`entero/${weights}`])).toBe(0);
    expect(Object.keys(cut).sort()).toEqual(
      Object.keys(whole)
        .map((name) => name.replace('entero', 'cortado'))
        .sort(),
    );
    for (const file of ['adapter_config.json', 'tokenizer.json', 'README.md', 'loss.svg'])
      expect(Object.keys(cut)).toContain(`cortado/${file}`);
  }, 300_000);

  test('a run pauses for a chat and is cancelled; the finished adapter answers', async () => {
    await prepareRun(page, 'pausado');
    await page.getByLabel(/Pasos como máximo/).fill('200');
    await page.getByRole('button', { name: 'Empezar a entrenar' }).click();
    await page.getByRole('button', { name: 'Pausa', exact: true }).click();
    await runAt(page, 'paused').waitFor();
    const second = await context.newPage();
    await second.goto(`${site.url}/#train`);
    await waitUntilReady(second);
    await second.getByRole('button', { name: 'Continuar' }).first().click();
    await second
      .getByRole('alert')
      .getByText(/Otra pestaña/)
      .waitFor();
    await second.close();
    await page.getByRole('tab', { name: 'Chat' }).click();
    await page.getByLabel('Quién responde').selectOption('sql');
    await page.getByLabel('Tu mensaje').fill('¿Cómo cuento los productos?');
    await page.getByLabel('Tu mensaje').press('Enter');
    await page.locator('[data-testid=answer][data-done=true]').first().waitFor();
    await page.getByRole('tab', { name: 'Entrenar' }).click();
    await page.getByRole('button', { name: 'Seguir', exact: true }).click();
    await runAt(page, 'running').waitFor();
    await page.getByRole('button', { name: 'Cancelar', exact: true }).click();
    await runAt(page, 'cancelled').waitFor();
    await page.getByRole('button', { name: 'Chatear con él' }).first().click();
    await page.getByRole('button', { name: 'Chat nuevo' }).click();
    expect(await page.getByLabel('Quién responde').inputValue()).toBe('cortado');
    await page.getByLabel('Comparar con').selectOption('phi-nano');
    await page.getByLabel('Tu mensaje').fill('Cuéntame un cuento sobre un perro.');
    await page.getByLabel('Tu mensaje').press('Enter');
    await page.locator('[data-testid=answer][data-done=true]').nth(1).waitFor();
  });

  test('a run that gets no better stops early, and ends with its best adapter', async () => {
    await prepareRun(page, 'pronto');
    await page.getByLabel(/Tamaño de cada paso/).fill('0.5');
    await page.getByLabel(/Parte de las filas/).fill('0.1');
    await page.getByLabel(/Evaluar cada tantos pasos/).fill('1');
    await page.getByLabel(/Parar tras tantas evaluaciones/).fill('2');
    await page.getByRole('button', { name: 'Empezar a entrenar' }).click();
    await runAt(page, 'done').waitFor({ timeout: 120_000 });
    const files = await downloadRun(page);
    const text = (file: string) => new TextDecoder().decode(files[`pronto/${file}`]);
    const state = JSON.parse(text('trainer_state.json'));
    const evaluations: { step: number; eval_loss: number }[] = state.log_history.filter(
      (entry: object) => 'eval_loss' in entry,
    );
    const losses = evaluations.map((entry) => entry.eval_loss);
    const best = losses.indexOf(Math.min(...losses));
    // Two evaluations after the best of them, and none more.
    expect(losses).toHaveLength(best + 3);
    expect(state.global_step).toBe(best + 3);
    expect(state.max_steps).toBe(10);
    expect(state.best_metric).toBe(losses[best]);
    expect(state.stateful_callbacks.EarlyStoppingCallback.args.early_stopping_patience).toBe(2);
    expect(text('README.md')).toContain(losses[best].toFixed(4));
  }, 300_000);

  test('looks inside: tokens, NF4, LoRA, the device', async () => {
    await page.getByRole('tab', { name: 'Mirar dentro' }).click();
    await page.getByTestId('tokens').getByText('<|user|>').waitFor();
    await page.getByRole('button', { name: 'Mirar', exact: true }).first().click();
    const report = page.getByTestId('nf4');
    await report.waitFor();
    const text = (await report.textContent()) ?? '';
    expect(text).toContain('4.500');
    const double = Number(/con doble cuantización(\d\.\d+)/.exec(text)?.[1]);
    expect(double).toBeGreaterThan(4.12);
    expect(double).toBeLessThan(4.25);
    await page.getByRole('button', { name: 'Mirar', exact: true }).last().click();
    await page.getByTestId('lora').waitFor();
    await page.screenshot({ path: `${artefacts}/inside-light.png`, fullPage: true });
    expect(await violations(page)).toEqual([]);
    await page.getByRole('tab', { name: 'Equipo' }).click();
    expect(await page.getByTestId('engine').getAttribute('data-engine')).toBe('wasm');
    await page.screenshot({ path: `${artefacts}/device-light.png`, fullPage: true });
    expect(await violations(page)).toEqual([]);
  });

  test('light and dark, on a desk and on a telephone, with a keyboard alone', async () => {
    const tabs = ['Chat', 'Entrenar', 'Mirar dentro', 'Equipo'];
    for (const colorScheme of ['light', 'dark'] as const)
      for (const [size, width, height] of [
        ['desktop', 1280, 800],
        ['phone', 390, 844],
      ] as const) {
        await page.emulateMedia({ colorScheme });
        await page.setViewportSize({ width, height });
        await page.getByRole('tab', { name: 'Chat' }).focus();
        await page.keyboard.press('Enter');
        for (const [i, name] of tabs.entries()) {
          if (i > 0) await page.keyboard.press('ArrowRight');
          expect(await page.getByRole('tab', { name }).getAttribute('aria-selected')).toBe('true');
          expect(await violations(page)).toEqual([]);
          const path = `${artefacts}/${size}-${colorScheme}-${i}.png`;
          await page.screenshot({ path, fullPage: true });
          const overflow = 'document.documentElement.scrollWidth > innerWidth';
          expect(await page.evaluate(overflow)).toBe(false);
        }
      }
    await page.emulateMedia({ colorScheme: 'light' });
    await page.setViewportSize({ width: 1280, height: 800 });
  });

  test('nothing was complained about on the way', () => {
    expect(complaints.filter((text) => !/ERR_FAILED|404|Failed to load/.test(text))).toEqual([]);
  });
});
