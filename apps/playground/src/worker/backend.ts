import type { Backend } from '@qlorajs/compute';
import { QLoraError } from '@qlorajs/errors';
import type { BackendChoice, EngineInfo, TriedEngine } from '../protocol.js';
import { plain } from '../rpc.js';

type Engine = Exclude<BackendChoice, 'auto'>;

/** In the order of `auto`: the first that starts computes. */
const ORDER: readonly Engine[] = ['webgpu', 'wasm', 'wasm1', 'gpujs'];

/** gpu.js is as large as the rest of the page, so it comes only where it is used. */
async function createGpuJs(): Promise<Backend> {
  const [{ createGpuJsBackend, hasWebGl2 }, { GPU }] = await Promise.all([
    import('@qlorajs/compute-gpujs'),
    import('gpu.js'),
  ]);
  if (!hasWebGl2())
    throw new QLoraError(
      'GPUJS_NO_WEBGL',
      'this browser gives no WebGL2 with float textures; update it, or allow hardware acceleration',
      { kind: 'runtime' },
    );
  return createGpuJsBackend({ GPU, mode: 'webgl2' });
}

async function createWasm(threads?: number): Promise<Backend> {
  const { createWasmBackend } = await import('@qlorajs/compute-wasm');
  return createWasmBackend({ threads });
}

/** Each engine comes when it is tried. */
async function create(engine: Engine, isChosen: boolean): Promise<Backend> {
  if (engine === 'gpujs') return createGpuJs();
  if (engine === 'wasm1') return createWasm(1);
  if (engine === 'wasm') {
    if (globalThis.crossOriginIsolated !== true)
      throw new QLoraError(
        'COMPUTE_WORKERS',
        'this page is not cross-origin isolated, so threads cannot share memory; reload it once, or serve it with qlora playground',
        { kind: 'runtime' },
      );
    return createWasm();
  }
  const { gpu } = navigator;
  if (!gpu)
    throw new QLoraError(
      'WEBGPU_NO_ADAPTER',
      'this browser has no WebGPU; use a current Chrome, Edge, Firefox or Safari, or another engine',
      { kind: 'runtime' },
    );
  const { createWebGpuBackend } = await import('@qlorajs/compute-webgpu');
  // A GPU in software is slower than the CPU engine: only for those who ask for it.
  return createWebGpuBackend({ gpu, software: isChosen });
}

function features(): EngineInfo['features'] {
  return {
    webgpu: 'gpu' in navigator,
    sharedMemory: globalThis.crossOriginIsolated === true,
    threads: navigator.hardwareConcurrency,
    webgl2: new OffscreenCanvas(1, 1).getContext('webgl2') !== null,
    storage: 'getDirectory' in navigator.storage,
    userAgent: navigator.userAgent,
  };
}

/** Opens the engine that was asked for, or the first of the order that starts. */
export async function openBackend(
  choice: BackendChoice,
): Promise<{ readonly backend: Backend; readonly info: EngineInfo }> {
  const tried: TriedEngine[] = [];
  for (const engine of choice === 'auto' ? ORDER : [choice]) {
    try {
      const backend = await create(engine, choice !== 'auto');
      tried.push({ name: engine, refused: null });
      const { info } = backend;
      return {
        backend,
        info: { name: engine, isAsked: choice !== 'auto', tried, info, features: features() },
      };
    } catch (error) {
      if (choice !== 'auto') throw error;
      tried.push({ name: engine, refused: plain(error) });
    }
  }
  throw new QLoraError(
    'NO_ENGINE',
    `no engine starts in this browser: ${tried.map(({ name, refused }) => `${name}: ${refused?.message}`).join('; ')}`,
    { kind: 'runtime', details: { tried } },
  );
}
