// node bench/cpu/bundle.mjs [OUT.mjs]: our engine of the benchmarks and every package it uses in one file.
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const ofTools = createRequire(join(root, 'tools/build/package.json'));
const { build } = createRequire(ofTools.resolve('tsup'))('esbuild');

/** Packages are taken from their sources, as the tests do: nothing has to be built but the kernels. */
const sources = {
  name: 'sources',
  setup({ onResolve }) {
    onResolve({ filter: /^@qlorajs\// }, ({ path }) => {
      const [, name, file = 'index'] = path.split('/');
      return { path: join(root, 'packages', name, 'src', `${file}.ts`) };
    });
  },
};

/** @param {string} outfile */
export async function bundleEngine(outfile) {
  await build({
    entryPoints: [join(root, 'bench/cpu/engine/main.ts')],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    plugins: [sources],
    sourcemap: true,
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await bundleEngine(process.argv[2] ?? join(root, 'bench/.build/engine.mjs'));
}
