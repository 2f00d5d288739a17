import { type Backend, createReferenceBackend } from '@qlorajs/compute';
import { createWasmBackend } from '@qlorajs/compute-wasm';
import { createWebGpuBackend } from '@qlorajs/compute-webgpu';
import { test } from 'vitest';
import { findGpu } from '../../compute-webgpu/test/find-gpu.js';

/** How far from Python's f32 a backend may be. */
export interface GoldenTolerance {
  /** Logits and hidden states. */
  readonly absolute: number;
  /** Gradients, relative to a tensor's largest entry. */
  readonly gradient: number;
  /** Losses of a trajectory. */
  readonly loss: number;
}

const F32: GoldenTolerance = { absolute: 2e-4, gradient: 1e-3, loss: 1e-4 };

/** A backend that the model's tests run on. */
export interface TestBackend {
  readonly name: string;
  /** @param bindingLimit bytes that a GPU's dispatch may see of a buffer: larger tensors are split */
  readonly create: (bindingLimit?: number) => Promise<Backend>;
  readonly tolerance: GoldenTolerance;
  /** A GPU in software: what takes minutes on it, and is covered by other tests, is left out. */
  readonly slow: boolean;
}

const { gpu, reason } = await findGpu();
if (!gpu) test.skip(`on webgpu: skipped, ${reason}`, () => {});

/** The GPU engine, where there is a GPU. `QLORAJS_SLOW=1` runs all on SwiftShader, too. */
const webgpu: readonly TestBackend[] = gpu
  ? [
      {
        name: 'webgpu',
        create: (bindingLimit) => createWebGpuBackend({ gpu, tier: 'f32', bindingLimit }),
        tolerance: F32,
        slow: process.env.QLORAJS_GPU !== 'hardware' && process.env.QLORAJS_SLOW !== '1',
      },
    ]
  : [];

/** Compiling the kernels for SwiftShader takes most of it, more on a busy machine. */
export const PATIENT = { timeout: 240_000 };

/** The backends that the model's tests run on. */
export const backends: readonly TestBackend[] = [
  { name: 'reference', create: async () => createReferenceBackend(), tolerance: F32, slow: false },
  { name: 'wasm', create: () => createWasmBackend({ threads: 2 }), tolerance: F32, slow: false },
  ...webgpu,
];
