import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { root } from '../docs/examples.js';

const read = (file: string) => parse(readFileSync(join(root, file), 'utf8'));

test('every package of the lockfile comes from the registry, with its hash', () => {
  const { packages } = read('pnpm-lock.yaml') as {
    packages: Record<string, { resolution: { integrity?: string; tarball?: string } }>;
  };
  const loose = Object.entries(packages).filter(
    ([, { resolution }]) => !resolution.integrity?.startsWith('sha512-') || resolution.tarball,
  );
  expect(loose.map(([name]) => name)).toEqual([]);
  expect(Object.keys(packages).length).toBeGreaterThan(100);
});

test('no dependency runs a script of its own when it is installed', () => {
  const { allowBuilds } = read('pnpm-workspace.yaml') as { allowBuilds: Record<string, boolean> };
  expect(Object.values(allowBuilds)).not.toContain(true);
});

test('versions in the catalog are exact, but for types', () => {
  const { catalog } = read('pnpm-workspace.yaml') as { catalog: Record<string, string> };
  const ranges = Object.entries(catalog).filter(([, version]) => !/^\d+\.\d+\.\d+$/.test(version));
  expect(ranges.map(([name]) => name)).toEqual(['@types/node']);
});
