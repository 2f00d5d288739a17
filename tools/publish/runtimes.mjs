// Runtimes and a framework that the long run of the consumers adds; all of them come from npm.
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../../scripts/bootstrap.mjs';
import { output } from './project.mjs';

const VERSIONS = {
  node: ['20.19.0', '22.23.3', '24.21.0'],
  bun: '1.4.5',
  deno: '2.9.6',
  next: '16.4.6',
};
const FLAGS = ['--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error'];
const fetched = join(root, '.runtimes');

/** Installs packages once into a folder that git ignores. */
function install(name, ...packages) {
  const folder = join(fetched, name);
  if (existsSync(join(folder, 'node_modules'))) return join(folder, 'node_modules');
  mkdirSync(folder, { recursive: true });
  output('npm', ['install', '--no-save', ...FLAGS, '--prefix', folder, ...packages], folder);
  return join(folder, 'node_modules');
}

const platform = `${process.platform}-${process.arch}`;

/** `{ 'Node 20.19.0': check, … }` */
export function nodes(runExamples) {
  return Object.fromEntries(
    VERSIONS.node.map((version) => [
      `Node ${version}`,
      (folder) => {
        const modules = install(`node-${version}`, `node-${platform}@${version}`);
        runExamples(folder, join(modules, `node-${platform}/bin/node`));
      },
    ]),
  );
}

export function bun(runExamples) {
  return (folder) => {
    const name = `@oven/bun-${platform}`;
    const modules = install('bun', `${name}@${VERSIONS.bun}`);
    runExamples(folder, join(modules, name, 'bin/bun'));
  };
}

export function deno(runExamples) {
  return (folder) => {
    const name = `@deno/${platform}${process.platform === 'linux' ? '-glibc' : ''}`;
    const modules = install('deno', `${name}@${VERSIONS.deno}`);
    runExamples(folder, join(modules, name, 'deno'), [
      'run',
      '--allow-all',
      '--node-modules-dir=manual',
    ]);
  };
}

/** A page of Next: the packages on the server, when it is built, and in the browser's bundle. */
export function next(same, expected) {
  return (folder) => {
    // Next would compile what the other checks left.
    for (const left of ['tsconfig.json', 'everything.ts', 'examples'])
      rmSync(join(folder, left), { recursive: true });
    const packages = [`next@${VERSIONS.next}`, 'react@19', 'react-dom@19'];
    output('npm', ['install', ...FLAGS, ...packages], folder);
    const app = join(folder, 'app');
    mkdirSync(app);
    const write = (name, text) => writeFileSync(join(app, name), text);
    cpSync(join(folder, 'page.js'), join(app, 'work.js'));
    write('layout.jsx', 'export default ({ children }) => <html><body>{children}</body></html>;');
    write(
      'client.jsx',
      "'use client';\nimport { useEffect } from 'react';\nexport const Client = () => { useEffect(() => { import('./work.js'); }, []); return null; };",
    );
    write(
      'page.jsx',
      "import { Client } from './client.jsx';\nimport { result } from './work.js';\nexport default () => <main>result {result}<Client /></main>;",
    );
    const env = { NEXT_TELEMETRY_DISABLED: '1' };
    output(process.execPath, ['node_modules/next/dist/bin/next', 'build'], folder, env);
    const html = readFileSync(join(folder, '.next/server/app/index.html'), 'utf8');
    same('the page by Next', /<main>result (?:<!-- -->)?([^<]*)/.exec(html)?.[1] ?? html, [
      expected,
    ]);
  };
}
