import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { repositoryUrl, stamp } from './repository.mjs';

const root = mkdtempSync(join(tmpdir(), 'qlorajs-release-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

test('in a CI job the repository is the one whose job it is', () => {
  const env = { GITHUB_SERVER_URL: 'https://github.com', GITHUB_REPOSITORY: 'someone/qlorajs' };
  expect(repositoryUrl(env, root)).toBe('git+https://github.com/someone/qlorajs.git');
});

test('elsewhere it is the remote of the clone, and without one the error says what to do', () => {
  const git = (...args: string[]) => spawnSync('git', args, { cwd: root });
  git('init', '-q');
  expect(() => repositoryUrl({}, root)).toThrow(/no remote "origin".*git remote add/);
  git('remote', 'add', 'origin', '/somewhere/on/disk');
  expect(() => repositoryUrl({}, root)).toThrow(/not one on a host/);
  for (const address of [
    'https://github.com/someone/qlorajs.git',
    'https://github.com/someone/qlorajs',
    'git@github.com:someone/qlorajs.git',
    'ssh://git@github.com/someone/qlorajs.git',
  ]) {
    git('remote', 'set-url', 'origin', address);
    expect(repositoryUrl({}, root)).toBe('git+https://github.com/someone/qlorajs.git');
  }
});

test('manifests name their folder while they are published, and are put back byte for byte', () => {
  const folder = join(root, 'packages/lora');
  mkdirSync(folder, { recursive: true });
  const file = join(folder, 'package.json');
  const text = '{ "name": "@qlorajs/lora",\n "publishConfig": {"provenance": true} }';
  writeFileSync(file, text);
  const restore = stamp([{ folder }], root, 'git+https://github.com/a/b.git', false);
  expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual({
    name: '@qlorajs/lora',
    publishConfig: { provenance: false },
    repository: {
      type: 'git',
      url: 'git+https://github.com/a/b.git',
      directory: 'packages/lora',
    },
  });
  restore();
  expect(readFileSync(file, 'utf8')).toBe(text);
});
