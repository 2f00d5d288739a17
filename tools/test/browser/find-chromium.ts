import { existsSync } from 'node:fs';

const PLACES = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  'C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe',
];

/** A browser for the tests, or why there is none. */
export type FoundChromium =
  | { readonly path: string; readonly reason: null }
  | { readonly path: null; readonly reason: string };

/**
 * The machine's Chromium: `QLORAJS_CHROMIUM`, or where systems put it. `QLORAJS_REQUIRE=chromium`
 * makes it an error when there is none.
 */
export function findChromium(): FoundChromium {
  const wanted = process.env.QLORAJS_CHROMIUM;
  const path = (wanted ? [wanted] : PLACES).find((place) => existsSync(place));
  if (path) return { path, reason: null };
  const reason = wanted
    ? `QLORAJS_CHROMIUM is ${wanted}, which is absent`
    : 'no Chromium: install it (Debian: apt-get install chromium) or set QLORAJS_CHROMIUM';
  if (process.env.QLORAJS_REQUIRE?.split(',').includes('chromium'))
    throw new Error(`QLORAJS_REQUIRE=chromium, but ${reason}`);
  return { path: null, reason };
}
