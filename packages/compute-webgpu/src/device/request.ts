/// <reference types="@webgpu/types" />
import { QLoraError } from '@qlorajs/errors';

/**
 * How matrix products are computed, from what the adapter offers:
 * `matrix`: subgroup matrices (tensor cores), f16 operands and f32 sums;
 * `f16`: f16 operands, f32 arithmetic; `f32`: f32 throughout.
 */
export type Tier = 'matrix' | 'f16' | 'f32';

/** A device and what it was found to do. */
export interface OpenedDevice {
  readonly device: GPUDevice;
  readonly adapter: GPUAdapter;
  readonly tier: Tier;
}

const SUBGROUP_MATRIX = 'chromium-experimental-subgroup-matrix';

/** An entry of Dawn's experimental `adapter.info.subgroupMatrixConfigs`. */
interface SubgroupMatrixConfig {
  readonly componentType: string;
  readonly resultComponentType: string;
  readonly M: number;
  readonly N: number;
  readonly K: number;
}

function offersMatrices(adapter: GPUAdapter): boolean {
  const info = adapter.info as GPUAdapterInfo & {
    readonly subgroupMatrixConfigs?: readonly SubgroupMatrixConfig[];
  };
  // The kernels are written for subgroups of 32: NVIDIA's.
  if (info.subgroupMinSize !== 32 || info.subgroupMaxSize !== 32) return false;
  return (info.subgroupMatrixConfigs ?? []).some(
    ({ componentType, resultComponentType, M, N, K }) =>
      componentType === 'f16' && resultComponentType === 'f32' && M === 16 && N === 16 && K === 16,
  );
}

/** The best tier that the adapter has the features for. */
export function bestTier(adapter: GPUAdapter): Tier {
  const has = (feature: string) => adapter.features.has(feature as GPUFeatureName);
  if (!has('shader-f16')) return 'f32';
  return has('subgroups') && has(SUBGROUP_MATRIX) && offersMatrices(adapter) ? 'matrix' : 'f16';
}

const FEATURES: Readonly<Record<Tier, readonly string[]>> = {
  f32: [],
  f16: ['shader-f16'],
  matrix: ['shader-f16', 'subgroups', SUBGROUP_MATRIX],
};
const ORDER: readonly Tier[] = ['f32', 'f16', 'matrix'];

/** The limits that the kernels profit from; the adapter's own are asked for. */
const LIMITS = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxStorageBuffersPerShaderStage',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
] as const;

/**
 * @param wanted a lower tier than the adapter's best, or `auto`
 * @throws QLoraError `WEBGPU_NO_ADAPTER`, or `WEBGPU_NO_FEATURE` when the tier is out of reach
 */
export async function openDevice(
  gpu: GPU,
  wanted: Tier | 'auto',
  options: GPURequestAdapterOptions,
  extra: readonly GPUFeatureName[] = [],
): Promise<OpenedDevice> {
  const adapter = await gpu.requestAdapter(options);
  if (!adapter)
    throw new QLoraError(
      'WEBGPU_NO_ADAPTER',
      'no GPU that WebGPU can use was found; install a Vulkan, Metal or D3D12 driver, or use the CPU engine',
      { kind: 'runtime' },
    );
  const best = bestTier(adapter);
  const tier = wanted === 'auto' ? best : wanted;
  if (ORDER.indexOf(tier) > ORDER.indexOf(best))
    throw new QLoraError(
      'WEBGPU_NO_FEATURE',
      `${adapter.info.description || adapter.info.vendor || 'this GPU'} reaches tier ${best}, not ${tier}; ask for ${best}, or start Dawn with the features that README.md names`,
      { kind: 'runtime', details: { best, tier, features: [...adapter.features] } },
    );
  const requiredLimits = Object.fromEntries(LIMITS.map((name) => [name, adapter.limits[name]]));
  const features = [...(FEATURES[tier] as readonly GPUFeatureName[]), ...extra];
  const device = await adapter.requestDevice({ requiredFeatures: features, requiredLimits });
  return { device, adapter, tier };
}
