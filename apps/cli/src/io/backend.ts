import { availableParallelism } from 'node:os';
import { setFlagsFromString } from 'node:v8';
import { type Backend, createReferenceBackend } from '@qlorajs/compute';
import { createWasmBackend } from '@qlorajs/compute-wasm';
import { createWebGpuBackend } from '@qlorajs/compute-webgpu';
import { isQLoraError } from '@qlorajs/errors';
import type { Ui } from '../report/ui.js';
import { openDawn } from './dawn.js';
import { type GpuJsChoice, openGpuJs } from './gpujs.js';

/** What `--backend` may say. */
export type BackendName = 'auto' | 'webgpu' | 'wasm' | 'gpujs' | 'reference';

/** What an app asks for. */
export interface BackendChoice {
  readonly backend: BackendName;
  readonly threads: number | undefined;
  /** Bytes of tensors that may live at one time; default: what the device has. */
  readonly vramBudget?: number;
  /** V8's experimental SIMD flags. Default: false. */
  readonly experimentalSimd?: boolean;
  /** Where gpu.js computes. Default: webasm. */
  readonly gpujsMode?: GpuJsChoice;
}

/**
 * Sets V8's experimental flags that make the CPU engine faster: relaxed SIMD in Node 20, where it gives
 * other roundings, and from Node 22 on the revectorizer, which turns pairs of 128-bit instructions into
 * 256-bit ones. They hold for modules compiled afterwards; the engine finds by timing what they bring.
 */
function setExperimentalSimd(): void {
  const [major] = process.versions.node.split('.').map(Number);
  const flag = major < 22 ? 'relaxed-simd' : 'revectorize';
  setFlagsFromString(`--experimental-wasm-${flag}`);
}

/** Threads unless `--threads` says otherwise. */
export function defaultThreads(): number {
  return availableParallelism();
}

/** Makes one backend by its name. */
async function create(
  name: Exclude<BackendName, 'auto'>,
  {
    threads = defaultThreads(),
    vramBudget: memoryLimit,
    gpujsMode,
  }: Omit<BackendChoice, 'backend'>,
): Promise<Backend> {
  if (name === 'reference') return createReferenceBackend({ memoryLimit });
  if (name === 'webgpu') return createWebGpuBackend({ gpu: await openDawn(), memoryLimit });
  if (name === 'gpujs') return openGpuJs(gpujsMode);
  return createWasmBackend({ threads, tensorLimit: memoryLimit });
}

/** The finding of a message, without its remedy. */
function findingOf(error: Error): string {
  return error.message.split('; ')[0];
}

/** What `auto` takes, and why. */
interface AutoChoice {
  readonly backend: Backend;
  readonly reason: string;
}

/** A GPU in hardware; where there is none, or it does not start, the CPU engine. */
async function createAuto(threads = defaultThreads(), memoryLimit?: number): Promise<AutoChoice> {
  try {
    const backend = await createWebGpuBackend({
      ...{ gpu: await openDawn(), software: false, memoryLimit },
    });
    return { backend, reason: `${backend.info.adapter}, tier ${backend.info.tier}` };
  } catch (error) {
    if (!isQLoraError(error)) throw error;
    const backend = await create('wasm', { threads, vramBudget: memoryLimit });
    return { backend, reason: `${threads} threads of the CPU, since ${findingOf(error)}` };
  }
}

/**
 * Makes the backend that was asked for; dispose it after use. `auto` says what it took, and a GPU in
 * software is told to be slow.
 * @throws QLoraError `GPUJS_ABSENT` where gpujs was asked for and gpu.js is not installed; `WEBGPU_*` where
 * webgpu was asked for and does not start
 */
export async function openBackend(
  { backend: name, threads, vramBudget, experimentalSimd, gpujsMode }: BackendChoice,
  ui?: Pick<Ui, 'info' | 'warn'>,
): Promise<Backend> {
  if (experimentalSimd) setExperimentalSimd();
  if (name === 'auto') {
    const { backend, reason } = await createAuto(threads, vramBudget);
    ui?.info(`backend ${backend.name}: ${reason}`);
    return backend;
  }
  const backend = await create(name, { threads, vramBudget, gpujsMode });
  if (backend.info.software)
    ui?.warn(
      `${backend.info.adapter} is a GPU in software: its answers are right, and --backend wasm is faster`,
    );
  return backend;
}

/** A backend as `doctor` reports it. */
export interface FoundBackend {
  readonly name: string;
  readonly available: boolean;
  readonly code?: string;
  readonly reason?: string;
  readonly info?: Backend['info'];
}

/** Tries every backend that does not compute for tests alone. */
export async function findBackends({
  threads,
  experimentalSimd,
  gpujsMode,
}: Omit<BackendChoice, 'backend'>): Promise<FoundBackend[]> {
  if (experimentalSimd) setExperimentalSimd();
  const found: FoundBackend[] = [];
  for (const name of ['webgpu', 'wasm', 'gpujs'] as const)
    try {
      const backend = await create(name, { threads, gpujsMode });
      found.push({ name, available: true, info: backend.info });
      await backend.dispose();
    } catch (error) {
      const code = isQLoraError(error) ? error.code : 'UNEXPECTED';
      found.push({ name, available: false, code, reason: (error as Error).message });
    }
  return found;
}

/** What `auto` would take of what was found, and why; null when nothing works. */
export function autoChoice(
  found: readonly FoundBackend[],
): { readonly backend: string; readonly reason: string } | null {
  const [webgpu, wasm] = ['webgpu', 'wasm'].map((name) => found.find((each) => each.name === name));
  if (webgpu?.info && webgpu.info.software !== true)
    return { backend: 'webgpu', reason: `${webgpu.info.adapter}, tier ${webgpu.info.tier}` };
  if (!wasm?.available) return null;
  const why = webgpu?.info
    ? `${webgpu.info.adapter} is a GPU in software`
    : webgpu?.reason?.split('; ')[0];
  return { backend: 'wasm', reason: `SIMD and threads on any CPU, since ${why}` };
}
