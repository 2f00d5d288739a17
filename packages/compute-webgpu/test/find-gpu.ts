/// <reference types="@webgpu/types" />
import { create } from 'webgpu';
import { findSwiftShader, isRequired } from '../../../tools/test/swiftshader.js';
import { createWebGpuBackend, type Tier } from '../src/index.js';

/** A GPU for the tests, or why there is none. */
export type FoundGpu =
  | { readonly gpu: GPU; readonly reason: null }
  | { readonly gpu: null; readonly reason: string };

/**
 * Dawn on SwiftShader: the same answers on every machine. `QLORAJS_GPU=hardware` takes the machine's
 * own GPU; `QLORAJS_REQUIRE=webgpu` makes it an error when there is none.
 */
export async function findGpu(): Promise<FoundGpu> {
  if (process.env.QLORAJS_GPU !== 'hardware') {
    const { env, reason } = findSwiftShader();
    if (!env) return { gpu: null, reason };
    Object.assign(process.env, env);
  }
  const features =
    'enable-dawn-features=allow_unsafe_apis,vulkan_enable_f16_on_nvidia,use_vulkan_memory_model';
  const gpu = create(['backend=vulkan', features]);
  if (await gpu.requestAdapter()) return { gpu, reason: null };
  const reason = 'Dawn finds no Vulkan device: install libvulkan1 and a driver';
  if (isRequired('webgpu')) throw new Error(`QLORAJS_REQUIRE=webgpu, but ${reason}`);
  return { gpu: null, reason };
}

/** The tiers that the GPU reaches: f32 alone on SwiftShader, which has no f16. */
export async function reachableTiers(gpu: GPU | null): Promise<Tier[]> {
  if (!gpu) return ['f32'];
  const best = await createWebGpuBackend({ gpu });
  const { tier } = best.info;
  await best.dispose();
  return tier === 'matrix' ? ['f32', 'f16', 'matrix'] : tier === 'f16' ? ['f32', 'f16'] : ['f32'];
}
