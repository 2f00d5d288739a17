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

const HOW = { executablePath: path!, chromiumSandbox: false, args: FLAGS };
const READER = { locale: 'es-ES', acceptDownloads: true };

export function launch(): Promise<Browser> {
  return chromium.launch(HOW);
}

/** A browser that keeps what pages store in a folder; the others have it in memory. */
export async function launchIn(
  folder: string,
): Promise<OpenedPage & { readonly browser: Browser }> {
  const context = await chromium.launchPersistentContext(folder, { ...HOW, ...READER });
  return { browser: context.browser()!, ...watched(await context.newPage()) };
}

interface OpenedPage {
  readonly page: Page;
  readonly complaints: string[];
}

/** A page that remembers what its console complained about. */
export async function openPage(
  browser: Browser,
  options: Parameters<Browser['newContext']>[0] = {},
): Promise<OpenedPage> {
  const context = await browser.newContext({ ...READER, ...options });
  return watched(await context.newPage());
}

function watched(page: Page): OpenedPage {
  const complaints: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(error.message));
  return { page, complaints };
}

/** Waits until phi-nano and its personalities are there. */
export async function waitUntilReady(page: Page, timeout = 60_000): Promise<void> {
  await page.locator('[data-testid=ready][data-voices="4"]').waitFor({ timeout });
}

interface TraceEvent {
  readonly name: string;
  readonly pid: number;
  readonly tid: number;
  /** Microseconds on the clock, and of the thread's own processor time. */
  readonly dur?: number;
  readonly tdur?: number;
  readonly args?: { readonly name?: string };
}

/**
 * Watches tasks of the page's main thread. The answer is the longest, in milliseconds: by its processor
 * time, which other work on the machine does not change, and as PerformanceObserver has it (0: none of 50).
 */
export async function watchTasks(
  browser: Browser,
  page: Page,
): Promise<() => Promise<{ readonly processor: number; readonly wall: number }>> {
  await page.evaluate(() => {
    const all = globalThis as unknown as { longest: number };
    all.longest = 0;
    new PerformanceObserver((list) => {
      for (const { duration } of list.getEntries()) all.longest = Math.max(all.longest, duration);
    }).observe({ type: 'longtask' });
  });
  const categories = ['toplevel', 'disabled-by-default-devtools.timeline', '__metadata'];
  await browser.startTracing(page, { categories });
  return async () => {
    const wall = await page.evaluate(() => (globalThis as unknown as { longest: number }).longest);
    const { traceEvents } = JSON.parse((await browser.stopTracing()).toString()) as {
      traceEvents: TraceEvent[];
    };
    const mains = new Set(
      traceEvents
        .filter(({ name, args }) => name === 'thread_name' && args?.name === 'CrRendererMain')
        .map(({ pid, tid }) => `${pid} ${tid}`),
    );
    const tasks = traceEvents.filter(
      ({ pid, tid, tdur }) => tdur !== undefined && mains.has(`${pid} ${tid}`),
    );
    if (tasks.length === 0) throw new Error('the trace has no task of the main thread');
    return { processor: Math.max(...tasks.map(({ tdur }) => tdur!)) / 1000, wall };
  };
}
