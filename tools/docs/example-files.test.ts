import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { root } from './examples.js';

const folder = join(root, 'examples');
const files = readdirSync(folder).filter((name) => /^\d\d-.*\.js$/.test(name));

test('there are eight', () => expect(files).toHaveLength(8));

test.each(files)('examples/%s runs on the built packages and prints what it says', (name) => {
  const source = readFileSync(join(folder, name), 'utf8');
  expect(source.split('\n').length).toBeLessThanOrEqual(60);
  const expected = [...source.matchAll(/^console\.log\(.*\);? \/\/ (.*)$/gm)].map(
    ([, said]) => said,
  );
  expect(expected.length).toBeGreaterThan(0);
  const { stdout, stderr, status } = spawnSync(process.execPath, [join(folder, name)], {
    encoding: 'utf8',
  });
  expect([stderr, status]).toEqual(['', 0]);
  expect(stdout.trimEnd().split('\n')).toEqual(expected);
});
