import { createReadStream } from 'node:fs';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { defineConfig, type Plugin } from 'vite';

const packages = fileURLToPath(new URL('../../packages', import.meta.url));

/** What the page fetches beside its code: the models' and adapters' folders. */
const FOLDERS: Readonly<Record<string, string>> = {
  'models/phi-nano': join(packages, 'phi-nano/model'),
  adapters: join(packages, 'personalities/adapters'),
  'data/personalities': join(packages, 'personalities/data'),
};

/** Serves those folders while developing, and copies them into a site that stands alone (`--mode site`). */
function models(): Plugin {
  let [outDir, copies] = ['', false];
  return {
    name: 'models',
    configResolved({ build, mode }) {
      outDir = build.outDir;
      copies = mode === 'site';
    },
    configureServer({ middlewares }) {
      middlewares.use((request, response, next) => {
        const path = (request.url ?? '').slice(1).split('?')[0];
        const found = Object.entries(FOLDERS).find(([prefix]) => path.startsWith(`${prefix}/`));
        if (!found || path.includes('..')) return next();
        const [prefix, folder] = found;
        createReadStream(join(folder, path.slice(prefix.length)))
          .on('error', () => next())
          .pipe(response);
      });
    },
    async closeBundle() {
      if (!copies) return;
      const root = fileURLToPath(new URL('.', import.meta.url));
      for (const [prefix, folder] of Object.entries(FOLDERS))
        await cp(folder, join(root, outDir, prefix), { recursive: true });
    },
  };
}

/** re2js comes when a pattern is met: everyone but its stand-in gets the stand-in. */
function lateRe2(): Plugin {
  const standIn = fileURLToPath(new URL('src/worker/re2js.ts', import.meta.url));
  return {
    name: 'late-re2',
    enforce: 'pre',
    resolveId: (source, importer) =>
      source === 're2js' && importer !== standIn ? standIn : undefined,
  };
}

export default defineConfig({
  base: './',
  resolve: {
    conditions: ['@qlorajs/source', 'browser', 'module', 'import', 'default'],
  },
  worker: { format: 'es', plugins: () => [lateRe2()] },
  build: { target: 'es2022', chunkSizeWarningLimit: 1000, assetsInlineLimit: 0 },
  server: {
    headers: {
      'Cross-Origin-Opener-Policy': 'same-origin',
      'Cross-Origin-Embedder-Policy': 'require-corp',
    },
  },
  plugins: [lateRe2(), models()],
});
