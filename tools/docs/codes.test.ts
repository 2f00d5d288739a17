import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { root } from './examples.js';
import { readPage } from './pages.js';

/** Literals in the shape of a code that are none. */
const NO_CODES = new Set(['CAUSAL_LM', 'Q8_0']);

function codesOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => /\.tsx?$/.test(file) && !file.includes('.test.'))
    .flatMap((file) => [
      ...readFileSync(join(folder, file), 'utf8').matchAll(/'([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)'/g),
    ])
    .map(([, code]) => code!)
    .filter((code) => !NO_CODES.has(code));
}

const sources = ['packages', 'apps'].flatMap((kind) =>
  readdirSync(join(root, kind)).map((name) => join(root, kind, name, 'src')),
);
const codes = new Set(sources.flatMap(codesOf));

test.each(['docs/troubleshooting.md', 'docs/es/troubleshooting.md'])(
  '%s has every code of the sources, and no other',
  (page) => {
    const named = new Set(
      [...readPage(page).matchAll(/^\|[^|]*\|/gm)].flatMap(([cell]) =>
        [...cell.matchAll(/`([A-Z][A-Z0-9_]+)`/g)].map(([, code]) => code!),
      ),
    );
    expect([...codes].filter((code) => !named.has(code)).sort()).toEqual([]);
    const words = new Set(['USAGE', 'UNEXPECTED']);
    expect([...named].filter((code) => !codes.has(code) && !words.has(code)).sort()).toEqual([]);
  },
);
