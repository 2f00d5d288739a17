import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Backend } from '@qlorajs/compute';
import { createGpuJsBackend, type GpuJsConstructor } from '@qlorajs/compute-gpujs';
import { QLoraError } from '@qlorajs/errors';

/** What `--gpujs-mode` may say; `gpu` is WebGL through the package gl. */
const GPUJS_CHOICES = ['cpu', 'webasm', 'gpu'] as const;

export type GpuJsChoice = (typeof GPUJS_CHOICES)[number];

interface GpuJsModule {
  readonly GPU?: GpuJsConstructor;
  readonly default?: { readonly GPU: GpuJsConstructor };
}

/** gpu.js beside this command, or of the folder where it runs. */
async function importGpuJs(): Promise<GpuJsModule> {
  try {
    return await import('gpu.js');
  } catch (error) {
    const { resolve } = createRequire(join(process.cwd(), 'package.json'));
    try {
      return await import(pathToFileURL(resolve('gpu.js')).href);
    } catch {
      throw error;
    }
  }
}

async function loadGpuJs(): Promise<GpuJsConstructor> {
  try {
    const { GPU, default: all } = await importGpuJs();
    return (GPU ?? all?.GPU)!;
  } catch (cause) {
    throw new QLoraError(
      'GPUJS_ABSENT',
      '--backend gpujs needs the package gpu.js (88 MB with its own), which does not come with this command; npm install gpu.js (with -g when qlorajs is installed so), or use --backend wasm, which is faster',
      { kind: 'input', cause },
    );
  }
}

/**
 * The gpu.js engine in Node.
 * @throws QLoraError `GPUJS_ABSENT` where gpu.js is not installed, `GPUJS_START` where its mode is not there
 */
export async function openGpuJs(choice: GpuJsChoice = 'webasm'): Promise<Backend> {
  const GPU = await loadGpuJs();
  return createGpuJsBackend({ GPU, mode: choice === 'gpu' ? 'headlessgl' : choice });
}
