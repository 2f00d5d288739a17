import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { root } from './examples.js';
import { blocksOf, pages, readPage } from './pages.js';

/** `npm run test:docs` runs what takes minutes, too. */
const long = process.env.QLORAJS_LONG_DOCS === '1';
const scratch = mkdtempSync(join(tmpdir(), 'qlorajs-docs-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** A folder in which `qlora` is the built command. */
function workspace(): { cwd: string; env: NodeJS.ProcessEnv } {
  const cwd = mkdtempSync(join(scratch, 'page-'));
  const bin = mkdtempSync(join(scratch, 'bin-'));
  const command = join(root, 'apps/cli/bin/qlora.js');
  writeFileSync(join(bin, 'qlora'), `#!/bin/sh\nexec "${process.execPath}" "${command}" "$@"\n`);
  chmodSync(join(bin, 'qlora'), 0o755);
  const PATH = `${bin}${delimiter}${process.env.PATH}`;
  return { cwd, env: { ...process.env, PATH, HF_HUB_OFFLINE: '1' } };
}

/** Blocks that name a file are written; commands run one after another in the page's folder. */
describe.each(
  pages().filter((page) =>
    blocksOf(page).some(({ language, word }) => language === 'sh' && word.startsWith('run')),
  ),
)('%s', (page) => {
  const { cwd, env } = workspace();
  for (const block of blocksOf(page)) {
    if (/^file=/.test(block.word)) writeFileSync(join(cwd, block.word.slice(5)), block.text);
    else if (block.language === 'sh' && block.word === 'run long' && !long)
      test.skip(`${block.name} (npm run test:docs)`, () => {});
    else if (block.language === 'sh' && block.word.startsWith('run'))
      test(`${block.name} runs`, { timeout: long ? 3_600_000 : 300_000 }, () => {
        const { status, stdout, stderr } = spawnSync(
          'bash',
          ['-euo', 'pipefail', '-c', block.text],
          { cwd, env, encoding: 'utf8' },
        );
        expect(`${stdout}${stderr}`.slice(-3000) && status, `${stdout}${stderr}`.slice(-3000)).toBe(
          0,
        );
      });
  }
});

test.each(pages())('%s: every command is executed, or says why not', (page) => {
  if (/^packages\//.test(page)) return; // their examples run as modules, their install lines in clean projects
  const unsaid = blocksOf(page).filter(
    ({ language, word }) => language === 'sh' && !/^(run( long)?|skip .+)$/.test(word),
  );
  expect(unsaid.map(({ name }) => name)).toEqual([]);
});

test.each(pages())('%s: its links lead to files and headings that are there', (page) => {
  const text = readPage(page)
    .replace(/^```[\s\S]*?^```$/gm, '')
    .replace(/`[^`\n]*`/g, '');
  const dead = [...text.matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, to]) => to!)
    .filter((to) => {
      if (/^(https?|mailto):/.test(to)) return false;
      const [file, heading] = to.split('#') as [string, string?];
      const path =
        file === '' ? join(root, page) : join(root, dirname(page), decodeURIComponent(file));
      if (!existsSync(path)) return true;
      if (heading === undefined || !path.endsWith('.md')) return false;
      const headings = [...readFileSync(path, 'utf8').matchAll(/^#+ (.*)$/gm)].map(([, title]) =>
        title!
          .toLowerCase()
          .replace(/[^\p{L}\p{N} _-]/gu, '')
          .replaceAll(' ', '-'),
      );
      return !headings.includes(decodeURIComponent(heading));
    });
  expect(dead).toEqual([]);
});

test.each(readdirSync(join(root, 'docs/es')))(
  'docs/es/%s shows the commands of its English page',
  (name) => {
    const commands = (page: string) =>
      blocksOf(page)
        .filter(({ language }) => language === 'sh' || language === 'jsonl')
        .map(({ text }) => text.replace(/ +#.*$/gm, ''));
    expect(commands(`docs/es/${name}`)).toEqual(commands(`docs/${name}`));
  },
);

test('SECURITY.md names tests that are there', () => {
  const named = [...readPage('SECURITY.md').matchAll(/`([\w./-]+\.test\.ts)`/g)].map(
    ([, file]) => file!,
  );
  const all = new Set(named.filter((file) => file.includes('/')));
  for (const file of all) expect(existsSync(join(root, file)), file).toBe(true);
  for (const file of named.filter((each) => !each.includes('/')))
    expect(
      [...all].some((path) => path.endsWith(`/${file}`)),
      file,
    ).toBe(true);
});
