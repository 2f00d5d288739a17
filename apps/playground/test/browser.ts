import { type Browser, chromium, type Page } from 'playwright-core';
import { findChromium } from '../../../tools/test/browser/find-chromium.js';

export const { path, reason } = findChromium();

/** WebGPU and WebGL on SwiftShader: no graphics card. */
const FLAGS = [
  '--headless=new',
  '--use-gl=angle',
  '--use-angle=swiftshader',
  '--enable-unsafe-swiftshader',
  '--enable-unsafe-webgpu',
  '--use-webgpu-adapter=swiftshader',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

export function launch(): Promise<Browser> {
  return chromium.launch({ executablePath: path!, chromiumSandbox: false, args: FLAGS });
}

/** A page that remembers what its console complained about. */
export async function openPage(
  browser: Browser,
  options: Parameters<Browser['newPage']>[0] = {},
): Promise<{ readonly page: Page; readonly complaints: string[] }> {
  const page = await browser.newPage({ locale: 'es-ES', acceptDownloads: true, ...options });
  const complaints: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(error.message));
  return { page, complaints };
}

/** Waits until phi-nano and its personalities are there. */
export async function waitUntilReady(page: Page, timeout = 60_000): Promise<void> {
  await page.getByTestId('ready').waitFor({ timeout });
  await page.waitForFunction(
    () =>
      [...document.querySelectorAll('select option')].some(
        (option) => (option as HTMLOptionElement).value === 'stories',
      ),
    undefined,
    { timeout },
  );
}
