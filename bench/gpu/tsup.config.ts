import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'tsup';

const packages = fileURLToPath(new URL('../../packages', import.meta.url));

/** One file with everything but Dawn in it, for a machine that has no checkout. */
export default defineConfig({
  entry: Object.fromEntries(
    ['kernels', 'model', 'paged', 'shortage'].map((name) => [
      name,
      fileURLToPath(new URL(`./${name}.ts`, import.meta.url)),
    ]),
  ),
  outDir: fileURLToPath(new URL('./dist', import.meta.url)),
  format: ['esm'],
  target: 'node20',
  noExternal: [/.*/],
  esbuildOptions(options) {
    options.alias = {
      '@qlorajs/compute/testing': `${packages}/compute/src/testing.ts`,
      ...Object.fromEntries(
        readdirSync(packages).map((name) => [
          `@qlorajs/${name}`,
          `${packages}/${name}/src/index.ts`,
        ]),
      ),
    };
  },
});
