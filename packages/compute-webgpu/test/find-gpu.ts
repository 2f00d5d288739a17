/// <reference types="@webgpu/types" />
import { existsSync } from 'node:fs';
import { create } from 'webgpu';

/** Where Debian's chromium package keeps SwiftShader, a Vulkan device in software. */
const SWIFTSHADER_ICD = '/usr/lib/chromium/vk_swiftshader_icd.json';

/** A GPU for the tests, or why there is none. */
export type FoundGpu =
  | { readonly gpu: GPU; readonly reason: null }
  | { readonly gpu: null; readonly reason: string };

/**
 * Dawn on SwiftShader: the same answers on every machine. `QLORAJS_GPU=hardware` takes the machine's
 * own GPU; `QLORAJS_REQUIRE=webgpu` makes it an error when there is none.
 */
export async function findGpu(): Promise<FoundGpu> {
  const found = await look();
  const required = process.env.QLORAJS_REQUIRE?.split(',').includes('webgpu');
  if (!found.gpu && required) throw new Error(`QLORAJS_REQUIRE=webgpu, but ${found.reason}`);
  return found;
}

async function look(): Promise<FoundGpu> {
  const features =
    'enable-dawn-features=allow_unsafe_apis,vulkan_enable_f16_on_nvidia,use_vulkan_memory_model';
  if (process.env.QLORAJS_GPU !== 'hardware') {
    if (!existsSync(SWIFTSHADER_ICD))
      return { gpu: null, reason: `SwiftShader is absent (${SWIFTSHADER_ICD}): install chromium` };
    process.env.VK_DRIVER_FILES = SWIFTSHADER_ICD;
    process.env.XDG_RUNTIME_DIR ??= '/tmp';
  }
  const gpu = create(['backend=vulkan', features]);
  if (await gpu.requestAdapter()) return { gpu, reason: null };
  return { gpu: null, reason: 'Dawn finds no Vulkan device: install libvulkan1 and a driver' };
}
