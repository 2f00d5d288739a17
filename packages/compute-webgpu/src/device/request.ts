/// <reference types="@webgpu/types" />
import { QLoraError } from '@qlorajs/errors';

/**
 * How matrix products are computed, from what the adapter offers:
 * `matrix`: subgroup matrices (tensor cores), f16 operands and f32 sums;
 * `f16`: f16 operands, f32 arithmetic; `f32`: f32 throughout.
 */
export type Tier = 'matrix' | 'f16' | 'f32';

/** Which GPU is taken. */
export interface DeviceChoice {
  /** A tier up to the adapter's best, or `auto`: that. */
  readonly tier: Tier | 'auto';
  readonly powerPreference: GPUPowerPreference;
  /** Whether a GPU in software, such as SwiftShader or llvmpipe, will do. */
  readonly software: boolean;
  /** Asked for beside those of the tier. */
  readonly features: readonly GPUFeatureName[];
}

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

/** What people call the GPU. */
export function adapterName({ info }: GPUAdapter): string {
  return info.description || info.device || info.vendor || 'unknown';
}

/** Whether the adapter computes on the CPU: right, and far slower than the CPU engine. */
export function isSoftware({ info }: GPUAdapter): boolean {
  // Older browsers have no such flag.
  return (
    info.isFallbackAdapter ??
    /swiftshader|llvmpipe|lavapipe|basic render/i.test(
      `${info.architecture} ${info.device} ${info.description}`,
    )
  );
}

/**
 * @throws QLoraError `WEBGPU_NO_ADAPTER`, `WEBGPU_SOFTWARE` when there is a GPU in software alone and
 * the choice excludes it, `WEBGPU_NO_FEATURE` when the tier is out of reach, `WEBGPU_NO_DEVICE` when
 * the driver refuses
 */
export async function openDevice(gpu: GPU, choice: DeviceChoice): Promise<OpenedDevice> {
  const adapter = await gpu.requestAdapter({ powerPreference: choice.powerPreference });
  if (!adapter)
    throw new QLoraError(
      'WEBGPU_NO_ADAPTER',
      'no GPU that WebGPU can use was found; install a Vulkan, Metal or D3D12 driver, or use the CPU engine',
      { kind: 'runtime' },
    );
  const name = adapterName(adapter);
  if (!choice.software && isSoftware(adapter))
    throw new QLoraError(
      'WEBGPU_SOFTWARE',
      `${name} is a GPU in software, slower than the CPU engine; install the driver of a real one`,
      { kind: 'runtime', details: { adapter: name } },
    );
  const best = bestTier(adapter);
  const tier = choice.tier === 'auto' ? best : choice.tier;
  if (ORDER.indexOf(tier) > ORDER.indexOf(best))
    throw new QLoraError(
      'WEBGPU_NO_FEATURE',
      `${name} reaches tier ${best}, not ${tier}; ask for ${best}, or start Dawn with the features that README.md names`,
      { kind: 'runtime', details: { best, tier, features: [...adapter.features] } },
    );
  const requiredLimits = Object.fromEntries(LIMITS.map((limit) => [limit, adapter.limits[limit]]));
  const requiredFeatures = [...(FEATURES[tier] as GPUFeatureName[]), ...choice.features];
  try {
    const device = await adapter.requestDevice({ requiredFeatures, requiredLimits });
    return { device, adapter, tier };
  } catch (cause) {
    throw new QLoraError(
      'WEBGPU_NO_DEVICE',
      `the driver of ${name} gives no device: ${(cause as Error).message}; close other programs that use the GPU, update its driver, or use the CPU engine`,
      { kind: 'runtime', details: { adapter: name }, cause },
    );
  }
}
