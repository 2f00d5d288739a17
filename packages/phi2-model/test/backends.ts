import { type Backend, createReferenceBackend } from '@qlorajs/compute';
import { GOLDEN_TOLERANCES, type GoldenTolerance } from '@qlorajs/compute/testing';
import { createWasmBackend } from '@qlorajs/compute-wasm';
import { createWebGpuBackend } from '@qlorajs/compute-webgpu';
import { test } from 'vitest';
import { findGpu, reachableTiers } from '../../compute-webgpu/test/find-gpu.js';

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

/**
 * The GPU engine, where there is a GPU, on every tier that it reaches: f32 alone on SwiftShader.
 * `QLORAJS_SLOW=1` runs all on that, too.
 */
const webgpu: readonly TestBackend[] = (gpu ? await reachableTiers(gpu) : []).map((tier) => ({
  name: tier === 'f32' ? 'webgpu' : `webgpu, tier ${tier}`,
  create: (bindingLimit) => createWebGpuBackend({ gpu: gpu!, tier, bindingLimit }),
  tolerance: GOLDEN_TOLERANCES[tier === 'f32' ? 'f32' : 'f16'],
  slow: process.env.QLORAJS_GPU !== 'hardware' && process.env.QLORAJS_SLOW !== '1',
}));

/** Compiling the kernels for SwiftShader takes most of it, more on a busy machine. */
export const PATIENT = { timeout: 240_000 };

/** The backends that the model's tests run on. */
export const backends: readonly TestBackend[] = [
  {
    name: 'reference',
    create: async () => createReferenceBackend(),
    tolerance: GOLDEN_TOLERANCES.f32,
    slow: false,
  },
  {
    name: 'wasm',
    create: () => createWasmBackend({ threads: 2 }),
    tolerance: GOLDEN_TOLERANCES.f32,
    slow: false,
  },
  ...webgpu,
];
