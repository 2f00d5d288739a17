// What every published package must be, read from its packed manifest and its files.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** All that a library may bring along: JavaScript without install scripts or binaries. */
const LIGHT = new Set([
  '@huggingface/jinja',
  '@huggingface/tokenizers',
  '@webgpu/types',
  'pure-rand',
  're2js',
  'zod',
]);

const README_PARTS = [
  ['an install line', /```sh\nnpm install /],
  ['an example', /```ts\n/],
  ['an API table', /^\|[ -]+\|[ -]+\|/m],
  ['figures', /^## (Figures|Size|Speed|Datasheet)|^\| size +\| value/m],
  ['what it does not do', /^## What it does not do/m],
];

function sources(folder) {
  return readdirSync(join(folder, 'src'), { recursive: true })
    .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'))
    .map((file) => [file, readFileSync(join(folder, 'src', file), 'utf8')]);
}

function* ofExports(exports) {
  for (const [path, target] of Object.entries(exports ?? {})) {
    if (path.includes('*')) yield `exports["${path}"] is a pattern`;
    if (typeof target === 'string') continue;
    const conditions = Object.keys(target);
    if (conditions[0] !== 'types' || conditions.at(-1) !== 'default')
      yield `exports["${path}"] is ${conditions}; types come first, default last`;
  }
}

function* ofLibrary({ folder }, manifest) {
  if (manifest.sideEffects !== false) yield 'sideEffects is not false';
  if (!manifest.exports?.['.']) yield 'exports has no "."';
  yield* ofExports(manifest.exports);
  for (const name of Object.keys(manifest.dependencies ?? {}))
    if (!name.startsWith('@qlorajs/') && !LIGHT.has(name))
      yield `depends on ${name}, which is not in the list of light packages`;
  for (const [name, { optional } = {}] of Object.entries(manifest.peerDependencies ?? {}).map(
    ([peer]) => [peer, manifest.peerDependenciesMeta?.[peer]],
  ))
    if (!optional) yield `its peer ${name} is not optional`;
  for (const [file, text] of sources(folder))
    if (/^export \*/m.test(text)) yield `src/${file} has an export *`;
  const readme = readFileSync(join(folder, 'README.md'), 'utf8');
  for (const [what, pattern] of README_PARTS)
    if (!pattern.test(readme)) yield `README.md has no ${what}`;
  const [, installed = ''] = /^npm install (.*)$/m.exec(readme) ?? [];
  for (const [, name] of readme.matchAll(
    /^(?:import|\}).* from '((?:@[^'/]+\/)?[^':/]+)[^':]*';$/gm,
  ))
    if (!installed.split(' ').includes(name))
      yield `README.md imports ${name}, which its install line leaves out`;
}

/** What is wrong with a package; `files` are the names in its tarball. */
export function* problems(found, manifest, files) {
  for (const file of ['README.md', 'LICENSE', 'CHANGELOG.md'])
    if (!files.includes(file)) yield `${file} is not in the tarball`;
  if (manifest.type !== 'module') yield 'type is not module';
  if (!manifest.license) yield 'there is no license';
  if (!manifest.description) yield 'there is no description';
  if (!manifest.engines?.node) yield 'engines.node is not given';
  if (manifest.publishConfig?.access !== 'public') yield 'publishConfig.access is not public';
  if (manifest.publishConfig?.provenance !== true) yield 'publishConfig.provenance is not true';
  for (const [name, range] of Object.entries(manifest.dependencies ?? {}))
    if (/^(workspace|catalog|file|link):/.test(range)) yield `${name} is ${range} in the tarball`;
  if (!manifest.bin) yield* ofLibrary(found, manifest);
}
