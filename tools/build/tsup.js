import { defineConfig } from 'tsup';

/**
 * The one bundler configuration of every library: ESM, types, source maps, nothing bundled in.
 * A later move to another bundler changes this file alone.
 */
export function defineLibrary(options = {}) {
  return defineConfig({
    entry: ['src/index.ts'],
    format: ['esm'],
    target: 'es2022',
    platform: 'neutral',
    dts: true,
    sourcemap: true,
    clean: true,
    splitting: true,
    ...options,
  });
}
