/// <reference types="@webgpu/types" />
import type { Backend, DType, Tensor, TensorData } from '@qlorajs/compute';
import { viewOf } from '@qlorajs/compute';
import { bindDecoding } from './decoding/bind.js';
import { Faults } from './device/faults.js';
import { DeviceMemory } from './device/memory.js';
import type { PlannedProgram } from './device/pipelines.js';
import { Profiler } from './device/profiler.js';
import { Recorder } from './device/recorder.js';
import { adapterName, bestTier, isSoftware, openDevice, type Tier } from './device/request.js';
import { Shortage } from './device/shortage.js';
import { storageOf } from './device/storage.js';
import { Transfer } from './device/transfer.js';
import { UploadRing } from './device/uploads.js';
import { type Engine, Scratch } from './engine.js';
import { halvesToFloats } from './half.js';
import { MaskSeed } from './ops/dropout/seed.js';
import { HeldProduct } from './ops/linear/held.js';
import { bindOps } from './ops.js';

/** How the GPU is chosen and used. */
export interface WebGpuOptions {
  /** Dawn's `create([…])` in Node, `navigator.gpu` in a page. */
  readonly gpu: GPU;
  /** How matrix products are computed; `auto`, the default, takes the best that the GPU offers. */
  readonly tier?: Tier | 'auto';
  /** Default `high-performance`. */
  readonly powerPreference?: GPUPowerPreference;
  /** Whether a GPU in software will do (default true): right, and slower than the CPU engine. */
  readonly software?: boolean;
  /** Bytes of tensors that may live at one time; no limit by default. */
  readonly memoryLimit?: number;
  /** Bytes of a buffer that one dispatch may see; by default what the device allows. */
  readonly bindingLimit?: number;
  /** Asks for `timestamp-query`, so that kernels can be timed (default false). */
  readonly profile?: boolean;
}

/** The GPU engine, and what only it can do. */
export interface WebGpuBackend extends Backend {
  /** Times kernels between `start` and `stop`; null unless `profile` was asked for. */
  readonly profiler: Pick<Profiler, 'start' | 'stop'> | null;
  /**
   * Compiles programs on the driver's threads while the caller goes on, as with loading weights: what a
   * planning backend's `onProgram` told. Rejects with what the compiler says; operations work all the same.
   */
  prepare(programs: readonly PlannedProgram[]): Promise<void>;
}

/**
 * Makes the GPU engine.
 *
 * @throws QLoraError `WEBGPU_NO_ADAPTER` when there is no GPU, `WEBGPU_SOFTWARE` when there is none
 * but in software and that was excluded, `WEBGPU_NO_FEATURE` when a tier is asked for that it does
 * not reach, `WEBGPU_NO_DEVICE` when the driver refuses. Later calls throw `COMPUTE_OUT_OF_MEMORY`, `WEBGPU_DEVICE_LOST`
 * or `WEBGPU_ERROR`, the latter two from the first call after the failure was noticed, and for good. After
 * `COMPUTE_OUT_OF_MEMORY` the backend can be used once the tensors made since the last wait are freed.
 */
export async function createWebGpuBackend(options: WebGpuOptions): Promise<WebGpuBackend> {
  const { gpu, tier: wanted = 'auto', powerPreference = 'high-performance' } = options;
  const features: GPUFeatureName[] = options.profile ? ['timestamp-query'] : [];
  const choice = { tier: wanted, powerPreference, software: options.software ?? true, features };
  const { device, adapter, tier } = await openDevice(gpu, choice);
  const { limits } = device;
  const shortage = new Shortage(device);
  const faults = new Faults(shortage);
  faults.watch(device);
  const { memoryLimit = Number.POSITIVE_INFINITY } = options;
  const memory = new DeviceMemory(limits.maxBufferSize, shortage, memoryLimit);
  const maxBinding = Math.min(
    limits.maxStorageBufferBindingSize,
    options.bindingLimit ?? Number.POSITIVE_INFINITY,
  );
  const profiler = options.profile ? new Profiler(device) : null;
  const recorder = new Recorder(device, faults, shortage, maxBinding, profiler);
  const transfer = new Transfer(device, recorder, faults, shortage);
  const uploads = new UploadRing(device, recorder, faults, shortage, (tensor, data) =>
    transfer.write(tensor, data, 0),
  );
  const engine: Engine = {
    recorder,
    memory,
    tier,
    maxBinding,
    maxBuffers: limits.maxStorageBuffersPerShaderStage,
    workgroupMemory: limits.maxComputeWorkgroupStorageSize,
    scratch: new Scratch(memory, recorder),
    maskSeed: new MaskSeed(
      () => memory.allocate('u32', [1], 'dropout seed'),
      (tensor, seed) => transfer.write(tensor, Uint32Array.of(seed), 0),
    ),
    expected: [],
  };
  const product = new HeldProduct(engine);
  const decoding = bindDecoding(engine, product);
  // Dawn's process-wide object must stay reachable for as long as anything runs.
  let held: GPU | null = gpu;
  return {
    name: 'webgpu',
    profiler,
    prepare: (programs) => recorder.pipelines.prepare(programs),
    info: {
      adapter: adapterName(adapter),
      vendor: adapter.info.vendor,
      architecture: adapter.info.architecture,
      software: isSoftware(adapter),
      tier,
      f16: adapter.features.has('shader-f16'),
      subgroupMatrices: bestTier(adapter) === 'matrix',
      maxBufferBytes: limits.maxBufferSize,
      maxBindingBytes: maxBinding,
      workgroupMemoryBytes: limits.maxComputeWorkgroupStorageSize,
    },
    ops: bindOps(engine, product),
    decoding,
    empty(dtype: DType, shape: readonly number[], label = ''): Tensor {
      faults.check();
      return memory.allocate(dtype, shape, label);
    },
    uploads: {
      room: (bytes) => uploads.room(bytes),
      write(tensor, data): void {
        product.flush();
        uploads.write(tensor, data);
      },
    },
    write(tensor: Tensor, data: TensorData, offset = 0): void {
      product.flush();
      uploads.submit();
      transfer.write(tensor, data, offset);
    },
    async read(tensor: Tensor): Promise<Float32Array> {
      product.flush();
      const { buffer } = await transfer.read(tensor);
      return tensor.dtype === 'f16'
        ? halvesToFloats(new Uint16Array(buffer))
        : new Float32Array(buffer);
    },
    async readIntegers(tensor: Tensor) {
      product.flush();
      const bytes = await transfer.read(tensor);
      if (tensor.dtype === 'u8') return bytes;
      return tensor.dtype === 'i32' ? new Int32Array(bytes.buffer) : new Uint32Array(bytes.buffer);
    },
    view: viewOf,
    free(tensor: Tensor): void {
      product.release(tensor);
      recorder.flush();
      recorder.forget(storageOf(tensor));
      decoding.release(tensor);
      memory.release(tensor);
      // Whoever frees tensors after a shortage goes on: with other buffers here, too.
      if (shortage.error) engine.scratch.dropRefused();
    },
    replay(key, work, seed): void {
      product.flush();
      // Before the commands are taped: what writes is not issued again.
      if (seed !== undefined) engine.maskSeed.get(seed);
      // What scratch was made from is not known while others' commands are issued again.
      engine.scratch.forgetOrigins();
      recorder.replay(key, () => {
        work();
        product.flush();
      });
      engine.scratch.forgetOrigins();
    },
    expect(weights): void {
      product.flush();
      engine.expected = weights;
    },
    memory: () => memory.counter.usage,
    resetPeak: () => memory.counter.resetPeak(),
    onShortage: (reclaim) => memory.counter.onShortage(reclaim),
    async sync() {
      faults.check();
      product.flush();
      recorder.flushToWait();
      await device.queue.onSubmittedWorkDone();
      // What was freed is the driver's again once a later submission is done.
      if (memory.takeFreed()) {
        device.queue.submit([]);
        await device.queue.onSubmittedWorkDone();
      }
      await faults.checkSettled();
    },
    async dispose() {
      if (!held) return;
      held = null;
      faults.close();
      recorder.flush();
      transfer.dispose();
      uploads.dispose();
      memory.releaseAll();
      recorder.dispose();
      device.destroy();
      await device.lost;
    },
  };
}
