import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const packages = fileURLToPath(new URL('./packages', import.meta.url));

export default defineConfig({
  // Tests run from the sources: no build is needed to test a package.
  resolve: {
    alias: [
      { find: /^@qlorajs\/([^/]+)$/, replacement: `${packages}/$1/src/index.ts` },
      { find: /^@qlorajs\/([^/]+)\/([^/.]+)$/, replacement: `${packages}/$1/src/$2.ts` },
    ],
  },
  test: {
    include: ['{packages,apps,tools}/**/*.test.ts'],
    exclude: ['**/node_modules/**', '**/dist/**'],
    setupFiles: ['tools/test/fast-check.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    pool: 'forks',
  },
});
