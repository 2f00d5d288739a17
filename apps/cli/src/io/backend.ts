import { availableParallelism } from 'node:os';
import { type Backend, createReferenceBackend } from '@qlorajs/compute';
import { createWasmBackend } from '@qlorajs/compute-wasm';
import { QLoraError } from '@qlorajs/errors';

/** What `--backend` may say. */
export type BackendName = 'auto' | 'webgpu' | 'wasm' | 'gpujs' | 'reference';

/** Why `auto` takes what it takes. */
export const AUTO_REASON =
  'wasm: SIMD and threads on any CPU; the GPU backends are not in this version';

/** Backends that have a name but no code yet. */
export const ABSENT_BACKENDS = ['webgpu', 'gpujs'] as const;

/** Threads unless `--threads` says otherwise. */
export function defaultThreads(): number {
  return availableParallelism();
}

/**
 * Makes the backend that was asked for; dispose it after use.
 * @throws QLoraError `BACKEND_ABSENT` for webgpu and gpujs
 */
export async function openBackend(options: {
  readonly backend: BackendName;
  readonly threads: number | undefined;
}): Promise<Backend> {
  const { backend, threads = defaultThreads() } = options;
  if (backend === 'reference') return createReferenceBackend();
  if (backend === 'auto' || backend === 'wasm') return createWasmBackend({ threads });
  throw new QLoraError(
    'BACKEND_ABSENT',
    `--backend ${backend} is not in this version; use wasm (any CPU) or leave the flag out`,
    { details: { backend } },
  );
}
