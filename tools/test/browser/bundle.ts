import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type Plugin } from 'esbuild';

const here = fileURLToPath(new URL('.', import.meta.url));
const packages = join(here, '../../../packages');
const goldenTests = join(packages, 'phi2-model/test');

/** `page/fixture-files.ts` with every file of the model's fixtures. */
function fixturesModule(): string {
  const folder = join(packages, 'phi2-model/fixtures');
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  const imports = files.map((file, i) => `import f${i} from ${JSON.stringify(`bytes:${file}`)};`);
  const entries = files.map(
    (file, i) => `[${JSON.stringify(`/${relative(packages, file)}`)}, f${i}]`,
  );
  return `${imports.join('\n')}\nexport const fixtureFiles = new Map([${entries.join(', ')}]);`;
}

const standIns: Readonly<Record<string, string>> = {
  vitest: 'vitest.ts',
  'node:fs': 'files.ts',
  'node:path': 'paths.ts',
  'node:url': 'paths.ts',
};

/** Packages from their sources, and what a page does not have from `page/` or from the engine's own. */
const hosting = (enginePage: string): Plugin => ({
  name: 'hosting',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^@qlorajs\// }, ({ path }) => {
      const [, name, file = 'index'] = path.split('/');
      return { path: join(packages, name, 'src', `${file}.ts`) };
    });
    onResolve({ filter: /^(vitest|node:.*)$/ }, ({ path }) =>
      standIns[path] ? { path: join(here, 'page', standIns[path]) } : null,
    );
    onResolve({ filter: /^\.\/backends\.js$/ }, () => ({ path: join(enginePage, 'backends.ts') }));
    onLoad({ filter: /[\\/]page[\\/]fixture-files\.ts$/ }, () => ({
      contents: fixturesModule(),
      resolveDir: here,
    }));
    onResolve({ filter: /^bytes:/ }, ({ path }) => ({ path: path.slice(6), namespace: 'bytes' }));
    onLoad({ filter: /.*/, namespace: 'bytes' }, ({ path }) => ({
      contents: readFileSync(path),
      loader: 'binary',
    }));
  },
});

/**
 * The operation suite and the model's golden tests, with their fixtures, as one module that runs in
 * a page and in Node: it exports `run`.
 * @param enginePage folder with the engine's `backends.ts` and `suites`
 * @param suites files of `enginePage` that declare tests
 * @param goldens which of the model's golden tests; default all
 */
export async function bundleSuite(
  enginePage: string,
  suites: readonly string[] = ['op-suite.ts'],
  goldens = /^golden-.*\.test\.ts$/,
): Promise<string> {
  const goldenFiles = readdirSync(goldenTests).filter((name) => goldens.test(name));
  const sources = [
    ...suites.map((name) => join(enginePage, name)),
    ...goldenFiles.map((name) => join(goldenTests, name)),
  ];
  const lines = sources.map((source) => `import ${JSON.stringify(source)};`);
  const { outputFiles } = await build({
    stdin: {
      contents: [...lines, `export { run } from './page/vitest.ts';`].join('\n'),
      resolveDir: here,
    },
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    // The packages say that their modules do nothing when imported; tests do.
    ignoreAnnotations: true,
    plugins: [hosting(enginePage)],
    define: {
      // One file asks where it is: phi2-model/test/fixtures.ts.
      'import.meta.url': '"file:///phi2-model/test/fixtures.ts"',
      'process.env.QLORAJS_REPORT': 'undefined',
    },
  });
  return outputFiles[0].text;
}
