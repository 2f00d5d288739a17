// node tools/full-size/bundle-cli.mjs OUT: the command line in one file, OUT/qlora.mjs, and Phi-2's
// tokenizer beside it. On a machine without npm, QLORA_DAWN names Dawn's binding.
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const out = process.argv[2];
const require = createRequire(`${root}/tools/build/package.json`);
const { build } = createRequire(require.resolve('tsup'))('esbuild');
const alias = Object.fromEntries(
  readdirSync(`${root}/packages`).map((name) => [
    `@qlorajs/${name}`,
    `${root}/packages/${name}/src/index.ts`,
  ]),
);
const common = { bundle: true, platform: 'node', format: 'esm', target: 'node20', alias };
const banner = {
  js: "import { createRequire as makeRequire } from 'node:module'; const require = makeRequire(import.meta.url);",
};
mkdirSync(out, { recursive: true });
await build({
  ...common,
  banner,
  entryPoints: [`${root}/apps/cli/src/main.ts`],
  outfile: join(out, 'qlora.mjs'),
  external: ['webgpu'],
});
await build({
  ...common,
  entryPoints: [`${root}/packages/tokenizer/test/phi-2.ts`],
  outfile: join(out, 'phi-2.mjs'),
});
const { buildPhi2TokenizerJson, PHI_2_TOKENIZER_CONFIG } = await import(join(out, 'phi-2.mjs'));
writeFileSync(join(out, 'tokenizer.json'), buildPhi2TokenizerJson());
writeFileSync(join(out, 'tokenizer_config.json'), PHI_2_TOKENIZER_CONFIG);
