// node scripts/new-package.mjs NAME "one sentence" [dependency ...]: lays out a package as the others are.
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';

const [name, description, ...dependencies] = process.argv.slice(2);
const folder = `packages/${name}`;
if (existsSync(`${folder}/package.json`)) throw new Error(`${folder} exists`);
mkdirSync(`${folder}/src`, { recursive: true });
const write = (file, value) =>
  writeFileSync(
    `${folder}/${file}`,
    typeof value === 'string' ? value : `${JSON.stringify(value, null, 2)}\n`,
  );
const version = (dependency) => (dependency.startsWith('@qlorajs/') ? 'workspace:^' : 'catalog:');
write('package.json', {
  name: `@qlorajs/${name}`,
  version: '0.1.0',
  description,
  license: 'MIT',
  type: 'module',
  sideEffects: false,
  engines: { node: '>=20.19' },
  files: ['dist', 'src', '!src/**/*.test.ts', 'CHANGELOG.md', 'README.md', 'LICENSE'],
  exports: {
    '.': {
      '@qlorajs/source': './src/index.ts',
      types: './dist/index.d.ts',
      default: './dist/index.js',
    },
    './package.json': './package.json',
  },
  publishConfig: {
    access: 'public',
    provenance: true,
    exports: {
      '.': { types: './dist/index.d.ts', default: './dist/index.js' },
      './package.json': './package.json',
    },
  },
  scripts: {
    build: 'tsup',
    test: `vitest run --root ../.. packages/${name}/`,
    typecheck: 'tsc -p .',
  },
  dependencies: Object.fromEntries(dependencies.sort().map((d) => [d, version(d)])),
  devDependencies: { '@qlorajs/build': 'workspace:*' },
});
write('tsconfig.json', { extends: '../../tsconfig.base.json', include: ['src', 'test'] });
write(
  'tsup.config.ts',
  "import { defineLibrary } from '@qlorajs/build/tsup';\n\nexport default defineLibrary();\n",
);
write('README.md', `# @qlorajs/${name}\n\n${description}\n`);
write('src/index.ts', '');
