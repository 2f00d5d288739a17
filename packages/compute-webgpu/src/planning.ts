/// <reference types="@webgpu/types" />
import { type Backend, type CountingBackend, createCountingBackend } from '@qlorajs/compute';
import type { KernelSpec } from './device/kernel.js';
import type { DeviceMemory } from './device/memory.js';
import { type PlannedProgram, variantOf } from './device/pipelines.js';
import type { Recorder } from './device/recorder.js';
import type { Tier } from './device/request.js';
import { type GpuStorage, storageOf } from './device/storage.js';
import { type Engine, Scratch } from './engine.js';
import { MaskSeed } from './ops/dropout/seed.js';
import { HeldProduct } from './ops/linear/held.js';
import { bindOps } from './ops.js';

/** The device that is planned for. */
export interface PlanningOptions {
  readonly tier: Tier;
  /** Bytes of tensors that may live at one time; no limit by default. */
  readonly memoryLimit?: number;
  /** As `info.maxBindingBytes` of the engine. */
  readonly maxBinding?: number;
  /** Told every program that is needed, once: see `WebGpuBackend.prepare`. */
  readonly onProgram?: (program: PlannedProgram) => void;
}

/** A recorder that records nothing; writes are still told apart, as scratch is kept by them. */
function nothingRecorded(onProgram: PlanningOptions['onProgram']) {
  const told = new Set<string>();
  return {
    dispatch(
      spec: KernelSpec,
      tensors: Readonly<Record<string, Parameters<typeof storageOf>[0]>>,
    ): void {
      const names = Object.keys(spec.bindings);
      const storages = names.map((name) => storageOf(tensors[name]));
      const writes = names.map((name) => spec.bindings[name].access === 'read_write');
      storages.forEach((storage, i) => {
        if (writes[i]) storage.version++;
      });
      if (!onProgram) return;
      const variant = variantOf(writes, storages);
      const key = `${spec.key}\n${variant}`;
      if (told.has(key)) return;
      told.add(key);
      onProgram({ spec, variant });
    },
    flush() {},
    forget() {},
    isPending: () => false,
  };
}

/**
 * A {@link CountingBackend} that needs what the GPU engine needs: the engine's own operations run dry,
 * so that their scratch is counted where they ask for it. No GPU is touched.
 */
export function createPlanningBackend(options: PlanningOptions): CountingBackend {
  const { tier, memoryLimit, maxBinding = Number.POSITIVE_INFINITY, onProgram } = options;
  let nextId = 1;
  let expect: NonNullable<Backend['expect']> = () => {};
  const ops = (counting: Backend) => {
    const recorder = nothingRecorded(onProgram) as unknown as Recorder;
    const memory = {
      allocate: counting.empty,
      release: counting.free,
    } as unknown as DeviceMemory;
    const engine: Engine = {
      ...{ recorder, memory, tier, maxBinding },
      ...{ workgroupMemory: 48 * 1024, maxBuffers: 16 },
      scratch: new Scratch(memory, recorder),
      maskSeed: new MaskSeed(
        () => counting.empty('u32', [1], 'dropout seed'),
        () => {},
      ),
      expected: [],
    };
    const product = new HeldProduct(engine);
    expect = (weights) => {
      product.flush();
      engine.expected = weights;
    };
    return bindOps(engine, product);
  };
  const backend = createCountingBackend({
    memoryLimit,
    ops,
    storageOf: (bytes): Omit<GpuStorage, 'buffer'> => ({
      ...{ id: nextId++, bytes, recording: 0, version: 0 },
      bindGroups: new Set(),
    }),
  });
  return { ...backend, expect: (weights) => expect(weights) };
}
