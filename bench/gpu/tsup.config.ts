import { fileURLToPath } from 'node:url';
import { defineConfig } from 'tsup';

const packages = fileURLToPath(new URL('../../packages', import.meta.url));

/** One file with everything but Dawn in it, for a machine that has no checkout. */
export default defineConfig({
  entry: { kernels: fileURLToPath(new URL('./kernels.ts', import.meta.url)) },
  outDir: fileURLToPath(new URL('./dist', import.meta.url)),
  format: ['esm'],
  target: 'node20',
  noExternal: [/.*/],
  esbuildOptions(options) {
    options.alias = {
      '@qlorajs/compute/testing': `${packages}/compute/src/testing.ts`,
      '@qlorajs/compute': `${packages}/compute/src/index.ts`,
      '@qlorajs/errors': `${packages}/errors/src/index.ts`,
    };
  },
});
