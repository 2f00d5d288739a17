// npm run check:consumers: installs every library's tarball into one clean project and uses it there:
// each README's example in plain Node, all of them under TypeScript nodenext, a page by Vite and by webpack.
// `--all` (npm run test:consumers) adds Node 20, 22 and 24, Bun, Deno and Next, which are large downloads.
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { transformSync } from 'esbuild';
import { root } from '../../scripts/bootstrap.mjs';
import { pack, published } from './packages.mjs';
import { cleanProject, output } from './project.mjs';
import { bun, deno, next, nodes } from './runtimes.mjs';

const all = process.argv.includes('--all');
const catalog = (name) => {
  const text = readFileSync(join(root, 'pnpm-workspace.yaml'), 'utf8');
  return new RegExp(`^  "?${name}"?: (.*)$`, 'm').exec(text)[1];
};

/** The first example of a README, and what its `console.log(…); // …` lines promise. */
function exampleOf({ folder }) {
  const readme = readFileSync(join(folder, 'README.md'), 'utf8');
  const code = /```ts\n([\s\S]*?)^```/m.exec(readme)[1];
  const expected = [...code.matchAll(/console\.log\(.*\);? \/\/ (.*)$/gm)].map(([, text]) => text);
  return { code, expected };
}

function seconds(since) {
  return `${((performance.now() - since) / 1000).toFixed(1)} s`;
}

function same(name, printed, expected) {
  const lines = printed.trimEnd();
  if (expected.length > 0 && lines !== expected.join('\n'))
    throw new Error(`${name} printed\n${lines}\ninstead of\n${expected.join('\n')}`);
}

const libraries = published.filter(({ manifest }) => !manifest.bin);

/** Their examples import a peer of 88 and 132 MB: they run in the long run alone. */
const HEAVY = ['@qlorajs/compute-gpujs', '@qlorajs/compute-webgpu'];

/** Their types lead to WebGPU's or gpu.js's, which name those of the DOM; all others do without. */
const DOM_TYPES = [...HEAVY, '@qlorajs/session'];
const examples = libraries.filter(({ name }) => all || !HEAVY.includes(name));
const PAGE = '49 4 2 6';

const exampleFile = ({ folder }) => `examples/${basename(folder)}.ts`;

function typecheck(folder, files, lib) {
  const compilerOptions = {
    ...{ module: 'nodenext', target: 'es2022', lib, types: ['node'] },
    ...{ strict: true, noEmit: true, skipLibCheck: false },
  };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files }));
  output(process.execPath, ['node_modules/typescript/bin/tsc', '-p', '.'], folder);
}

const checks = {
  [`plain Node ESM, ${examples.length} READMEs`]: (folder) => runExamples(folder, process.execPath),
  'TypeScript nodenext'(folder) {
    const everything = libraries.map(({ name }) => `import '${name}';\n`).join('');
    writeFileSync(join(folder, 'everything.ts'), everything);
    const [pages, others] = [true, false].map((dom) =>
      examples.filter(({ name }) => DOM_TYPES.includes(name) === dom).map(exampleFile),
    );
    typecheck(folder, others, ['es2023']);
    typecheck(folder, [...pages, 'everything.ts'], ['es2023', 'dom']);
  },
  Vite(folder) {
    const config =
      "export default { logLevel: 'error', build: { target: 'esnext', outDir: 'vite', modulePreload: false } };";
    writeFileSync(join(folder, 'vite.config.js'), config);
    writeFileSync(
      join(folder, 'index.html'),
      '<body><script type="module" src="/page.js"></script>',
    );
    output(process.execPath, ['node_modules/vite/bin/vite.js', 'build'], folder);
    const [, script] = /src="\/(.*?)"/.exec(readFileSync(join(folder, 'vite/index.html'), 'utf8'));
    same('the page by Vite', output(process.execPath, [join('vite', script)], folder), [PAGE]);
  },
  webpack(folder) {
    const run = `
      import webpack from 'webpack';
      webpack({
        mode: 'production', target: 'web', entry: './page.js', performance: false,
        experiments: { outputModule: true },
        output: { path: process.cwd() + '/webpack', filename: 'page.mjs', module: true, chunkFormat: 'module' },
      }, (error, stats) => {
        if (error || stats.hasErrors()) throw error ?? new Error(stats.toString());
      });`;
    writeFileSync(join(folder, 'webpack.mjs'), run);
    output(process.execPath, ['webpack.mjs'], folder);
    same('the page by webpack', output(process.execPath, ['webpack/page.mjs'], folder), [PAGE]);
  },
  ...(all && {
    ...nodes(runExamples),
    Bun: bun(runExamples),
    Deno: deno(runExamples),
    Next: next(same, PAGE),
  }),
};

function writeExamples(folder) {
  mkdirSync(join(folder, 'examples'));
  for (const found of examples) {
    const file = join(folder, 'examples', basename(found.folder));
    const { code } = exampleOf(found);
    writeFileSync(`${file}.ts`, `${code}\nexport {};\n`);
    writeFileSync(`${file}.js`, transformSync(code, { loader: 'ts', format: 'esm' }).code);
  }
}

function runExamples(folder, runtime, flags = []) {
  const wrong = [];
  for (const found of examples) {
    const script = join('examples', `${basename(found.folder)}.js`);
    try {
      same(found.name, output(runtime, [...flags, script], folder), exampleOf(found).expected);
    } catch (error) {
      wrong.push(error.message);
    }
  }
  if (wrong.length > 0) throw new Error(wrong.join('\n'));
}

pack();
const began = performance.now();
const tools = Object.fromEntries(
  ['typescript', '@types/node', ...(all ? ['gpu.js', 'webgpu'] : [])].map((name) => [
    name,
    catalog(name),
  ]),
);
const folder = cleanProject(libraries, { ...tools, vite: '8.3.8', webpack: '5.112.2' });
console.log(`npm install: ${seconds(began)}`);
let failed = false;
try {
  writeExamples(folder);
  copyFileSync(join(root, 'tools/publish/consumers/page.js'), join(folder, 'page.js'));
  for (const [name, check] of Object.entries(checks)) {
    const started = performance.now();
    try {
      await check(folder);
      console.log(`${name}: ${seconds(started)}`);
    } catch (error) {
      failed = true;
      console.error(`${name} FAILED: ${error.message}`);
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.exitCode = failed ? 1 : 0;
