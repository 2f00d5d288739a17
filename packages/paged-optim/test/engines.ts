import { type Backend, createReferenceBackend } from '@qlorajs/compute';
import { createWasmBackend } from '@qlorajs/compute-wasm';
import { createWebGpuBackend } from '@qlorajs/compute-webgpu';
import { findGpu } from '../../compute-webgpu/test/find-gpu.js';

const { gpu, reason } = await findGpu();

/** The engines that the optimizer's tests run on; an absent one says why. */
export const engines: readonly {
  readonly name: string;
  readonly absent: string | null;
  readonly create: () => Promise<Backend>;
}[] = [
  { name: 'reference', absent: null, create: async () => createReferenceBackend() },
  { name: 'wasm', absent: null, create: () => createWasmBackend({ threads: 2 }) },
  {
    name: reason === null ? 'webgpu' : `webgpu: skipped, ${reason}`,
    absent: reason,
    create: () => createWebGpuBackend({ gpu: gpu! }),
  },
];
