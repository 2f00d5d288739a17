// node tools/full-size/bundle.mjs OUT.mjs: run.ts and every package it uses in one file.
import { readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const require = createRequire(`${root}/tools/build/package.json`);
const { build } = createRequire(require.resolve('tsup'))('esbuild');
const alias = Object.fromEntries(
  readdirSync(`${root}/packages`).map((name) => [
    `@qlorajs/${name}`,
    `${root}/packages/${name}/src/index.ts`,
  ]),
);
await build({
  entryPoints: [`${root}/tools/full-size/run.ts`],
  outfile: process.argv[2],
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node20',
  alias,
});
