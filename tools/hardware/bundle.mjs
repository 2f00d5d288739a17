// node tools/hardware/bundle.mjs OUT: the suites of the GPU engine in one file, OUT/suites.mjs, that
// needs neither npm nor vitest.
import { readdirSync, readFileSync, realpathSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('../..', import.meta.url));
const packages = join(root, 'packages');
const SUITES = [
  ...['op-suite', 'decoding', 'device', 'held-product', 'magnitudes', 'replay'].map((name) => [
    'compute-webgpu',
    name,
  ]),
  ...['golden-hf-phi', 'golden-tiny-phi', 'golden-lora-variants', 'golden-token-rows'].map(
    (name) => ['phi2-model', name],
  ),
  ...['golden-generate', 'ahead', 'gradients', 'identities', 'many-adapters', 'offload'].map(
    (name) => ['phi2-model', name],
  ),
  ['phi2-model', 'loading'],
  ['paged-optim', 'adamw8bit'],
];
const entry = SUITES.map(
  ([folder, name]) =>
    `await suite('${name}', () => import('${packages}/${folder}/test/${name}.test.ts'));`,
).join('\n');

/** vitest's own assertions; they are a dependency of vitest, not of ours. */
const assertions = createRequire(
  realpathSync(join(root, 'node_modules/vitest/package.json')),
).resolve('@vitest/expect');

await build({
  stdin: {
    contents: `import { finish, suite } from '${root}/tools/hardware/runner.mjs';\n${entry}\nfinish();`,
    resolveDir: root,
    loader: 'js',
  },
  outfile: join(process.argv[2], 'suites.mjs'),
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node20',
  logLevel: 'warning',
  banner: {
    js: "import { createRequire as makeRequire } from 'node:module'; const require = makeRequire(import.meta.url);",
  },
  alias: {
    vitest: join(root, 'tools/hardware/runner.mjs'),
    '@vitest/expect': assertions,
    chai: createRequire(assertions).resolve('chai'),
    '@qlorajs/compute/testing': `${packages}/compute/src/testing.ts`,
    ...Object.fromEntries(
      readdirSync(packages).map((name) => [`@qlorajs/${name}`, `${packages}/${name}/src/index.ts`]),
    ),
  },
  plugins: [
    {
      name: 'where the sources are, and Dawn',
      setup(builder) {
        builder.onResolve({ filter: /^webgpu$/ }, () => ({ path: 'webgpu', namespace: 'dawn' }));
        builder.onLoad({ filter: /.*/, namespace: 'dawn' }, () => ({
          contents:
            "import { createRequire } from 'node:module'; export const { create, globals } = createRequire(import.meta.url)(process.env.QLORA_DAWN);",
        }));
        builder.onLoad({ filter: /packages\/[^/]+\/(src|test)\/.*\.ts$/ }, ({ path }) => ({
          contents: readFileSync(path, 'utf8').replaceAll(
            'import.meta.url',
            `new URL('${relative(root, path)}', 'file://' + process.cwd() + '/').href`,
          ),
          loader: 'ts',
        }));
      },
    },
  ],
});
