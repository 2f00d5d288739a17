/// <reference types="@webgpu/types" />
import { opCases } from '@qlorajs/compute/testing';
import { expect, test } from 'vitest';
import { create } from 'webgpu';
import { createWebGpuBackend } from '../src/index.js';
import { adapterLayer, sharedLayers } from './adapter-layer.js';

/**
 * Dawn without a GPU, which computes nothing but compiles everything: it lets the f16 and the
 * subgroup-matrix kernels be checked where no device has those features. Its limits are the least
 * that WebGPU allows, so that what exceeds them is no finding.
 */
function compilingGpu(messages: Promise<string[]>[]): GPU {
  const nothing = create(['backend=null', 'enable-dawn-features=allow_unsafe_apis']);
  const matrix = { componentType: 'f16', resultComponentType: 'f32', M: 16, N: 16, K: 16 };
  return {
    async requestAdapter() {
      const adapter = await nothing.requestAdapter();
      if (!adapter) return null;
      return {
        features: adapter.features,
        limits: adapter.limits,
        info: { subgroupMinSize: 32, subgroupMaxSize: 32, subgroupMatrixConfigs: [matrix] },
        async requestDevice(descriptor: GPUDeviceDescriptor) {
          const device = await adapter.requestDevice(descriptor);
          return new Proxy(device, {
            get(target, name) {
              if (name === 'limits') return limitsOf(target);
              if (name === 'createShaderModule')
                return (module: GPUShaderModuleDescriptor) => {
                  const made = target.createShaderModule(module);
                  messages.push(errorsOf(module.label ?? '', made));
                  return made;
                };
              const value: unknown = Reflect.get(target, name, target);
              return typeof value === 'function' ? value.bind(target) : value;
            },
            // What is beyond the null device's limits must not reach the backend.
            set: (target, name, value) =>
              Reflect.set(target, name, name === 'onuncapturederror' ? () => {} : value, target),
          });
        },
      };
    },
  } as unknown as GPU;
}

/** Those of a usual GPU: they decide which kernels are chosen. */
function limitsOf({ limits }: GPUDevice): Partial<GPUSupportedLimits> {
  const { maxBufferSize, maxStorageBufferBindingSize, minStorageBufferOffsetAlignment } = limits;
  const maxComputeWorkgroupStorageSize = 48 * 1024;
  const maxStorageBuffersPerShaderStage = 16;
  return {
    maxBufferSize,
    maxStorageBufferBindingSize,
    minStorageBufferOffsetAlignment,
    maxComputeWorkgroupStorageSize,
    maxStorageBuffersPerShaderStage,
  };
}

async function errorsOf(label: string, module: GPUShaderModule): Promise<string[]> {
  const { messages } = await module.getCompilationInfo();
  return messages
    .filter(({ type }) => type === 'error')
    .map(({ lineNum, message }) => `${label}, line ${lineNum}: ${message}`);
}

test.each(['f16', 'matrix'] as const)('every kernel of tier %s compiles', async (tier) => {
  const compiled: Promise<string[]>[] = [];
  const gpu = compilingGpu(compiled);
  const backend = await createWebGpuBackend({ gpu, tier });
  for (const each of opCases()) await each.run(backend);
  for (const rows of [1, 40]) await adapterLayer(backend, rows, false);
  await sharedLayers(backend, 150);
  expect(compiled.length).toBeGreaterThan(60);
  expect((await Promise.all(compiled)).flat()).toEqual([]);
  await backend.dispose();
});
