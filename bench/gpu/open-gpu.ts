import { createRequire } from 'node:module';

/** Dawn as in a release, with timestamps to the nanosecond. */
export function openGpu(): GPU {
  const { create } = createRequire(import.meta.url)(process.env.QLORA_DAWN ?? 'webgpu');
  const toggles = [
    'allow_unsafe_apis',
    'vulkan_enable_f16_on_nvidia',
    'use_vulkan_memory_model',
    'skip_validation',
    'disable_robustness',
    ...(process.env.QLORA_TOGGLES?.split(',') ?? []),
  ];
  return create([
    'backend=vulkan',
    `enable-dawn-features=${toggles}`,
    'disable-dawn-features=timestamp_quantization',
  ]);
}
