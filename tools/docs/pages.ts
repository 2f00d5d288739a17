import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { root } from './examples.js';

/** A fenced block of a page: ```` ```sh long ```` has the language `sh` and the word `long`. */
export interface Block {
  /** `docs/tutorial.md:12` */
  readonly name: string;
  readonly language: string;
  /** `long`, `skip` or the name of the file that the block is. */
  readonly word: string;
  readonly text: string;
}

/** Every page for people: the READMEs at the root and of the apps, SECURITY, CONTRIBUTING and docs/. */
export function pages(): string[] {
  const docs = readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.md'))
    .map((file) => join('docs', file));
  const others = readdirSync(root).filter((file) => file.endsWith('.md'));
  const packages = readdirSync(join(root, 'packages')).map((name) => `packages/${name}/README.md`);
  const apps = ['apps/cli/README.md', 'apps/playground/README.md'];
  return [...others, ...apps, 'examples/README.md', ...docs, ...packages];
}

export function readPage(page: string): string {
  return readFileSync(join(root, page), 'utf8');
}

/** The blocks of a page, in order. */
export function blocksOf(page: string): Block[] {
  const text = readPage(page);
  return [...text.matchAll(/^```(\w+)(?: ([^\n]+))?\n([\s\S]*?)^```$/gm)].map((match) => ({
    name: `${relative('', page)}:${text.slice(0, match.index).split('\n').length}`,
    language: match[1]!,
    word: match[2] ?? '',
    text: match[3]!,
  }));
}
