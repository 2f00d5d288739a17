// How much of a package a page would download: size-limit bundles it with esbuild, minified, brotli.
import { builtinModules } from 'node:module';
import { join } from 'node:path';
import esbuild from '@size-limit/esbuild';
import file from '@size-limit/file';
import sizeLimit from 'size-limit';

/** Most kB (1,000 bytes) of a library with all that it depends on; a new library must be listed. */
const LIMITS = {
  '@qlorajs/chat-template': 20,
  '@qlorajs/compute': 10,
  '@qlorajs/compute-gpujs': 15,
  '@qlorajs/compute-wasm': 48,
  '@qlorajs/compute-webgpu': 55,
  '@qlorajs/dataset': 95,
  '@qlorajs/errors': 1,
  '@qlorajs/gguf': 4,
  '@qlorajs/lora': 145,
  '@qlorajs/paged-optim': 8,
  '@qlorajs/personalities': 1,
  '@qlorajs/phi-nano': 1,
  '@qlorajs/phi2-model': 112,
  '@qlorajs/quant-nf4': 7,
  '@qlorajs/safetensors': 9,
  '@qlorajs/session': 245,
  '@qlorajs/tokenizer': 18,
  '@qlorajs/trainer': 4,
  '@qlorajs/tutor-dataset': 4,
};

const node = builtinModules.flatMap((name) => [name, `node:${name}`]);

const check = (entry, ignore) => ({
  files: [entry],
  ignore,
  brotli: true,
  modifyEsbuildConfig: (config) => ({ ...config, format: 'esm', logLevel: 'error' }),
});

/** `{ alone, whole, limit }` in bytes: its own code, and with its dependencies. */
export async function sizesOf({ name, folder, manifest }) {
  const entry = join(folder, 'dist/index.js');
  const peers = Object.keys(manifest.peerDependencies ?? {});
  const dependencies = Object.keys(manifest.dependencies ?? {});
  const checks = [
    check(entry, [...node, ...peers, ...dependencies]),
    check(entry, [...node, ...peers]),
  ];
  const [alone, whole] = await sizeLimit([esbuild, file], { checks });
  return { alone: alone.size, whole: whole.size, limit: 1000 * (LIMITS[name] ?? 0) };
}
