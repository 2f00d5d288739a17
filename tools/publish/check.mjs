// npm run check:packages: packs every package and judges the tarballs with publint, arethetypeswrong,
// our own rules and size-limit; prints the table of sizes.
import { readFileSync, statSync } from 'node:fs';
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { pack, published } from './packages.mjs';
import { problems } from './rules.mjs';
import { sizesOf } from './sizes.mjs';

/** All packages are ES modules: `require` of them is Node's own business (it works from 22.12 on). */
const NOT_PROMISED = new Set(['node10', 'node16-cjs']);

async function typeProblems(data) {
  const { types, problems: found = [] } = await checkPackage(data);
  if (!types) return ['there are no types'];
  return found
    .filter(({ resolutionKind }) => !NOT_PROMISED.has(resolutionKind))
    .map(({ kind, entrypoint = '' }) => `arethetypeswrong: ${kind} ${entrypoint}`);
}

async function judge(found) {
  const bytes = new Uint8Array(readFileSync(found.tarball));
  const data = createPackageFromTarballData(bytes);
  const prefix = `/node_modules/${found.name}/`;
  const files = data.listFiles(prefix).map((path) => path.slice(prefix.length));
  const manifest = JSON.parse(data.readFile(`${prefix}package.json`));
  const { messages } = await publint({ pack: { tarball: bytes.buffer }, strict: true });
  const wrong = messages.map((message) => `publint: ${formatMessage(message, manifest)}`);
  wrong.push(...problems(found, manifest, files));
  if (!manifest.bin) wrong.push(...(await typeProblems(data)));
  return wrong;
}

const kB = (bytes) => (bytes / 1000).toFixed(1);

pack();
const wrong = [];
const table = [];
for (const found of published) {
  for (const problem of await judge(found)) wrong.push(`${found.name}: ${problem}`);
  const tarball = kB(statSync(found.tarball).size);
  if (found.manifest.bin) {
    table.push({ package: found.name, 'tarball kB': tarball });
    continue;
  }
  const { alone, whole, limit } = await sizesOf(found);
  const row = {
    'own code kB': kB(alone),
    'with dependencies kB': kB(whole),
    'limit kB': kB(limit),
  };
  table.push({ package: found.name, ...row, 'tarball kB': tarball });
  if (whole > limit)
    wrong.push(`${found.name}: ${kB(whole)} kB with dependencies, above its limit of ${kB(limit)}`);
}
console.log('Minified, brotli; all engines and models are loaded by the app that uses them.');
console.table(table);
for (const problem of wrong) console.error(problem);
process.exitCode = wrong.length > 0 ? 1 : 0;
