/// <reference types="@webgpu/types" />
import { QLoraError } from '@qlorajs/errors';
import {
  type KernelSpec,
  MOST_MERGED,
  PARAMETER_BINDING,
  PARAMETER_BYTES,
  wgslOf,
} from './kernel.js';
import type { GpuStorage } from './storage.js';
import { SHADER_STAGE_COMPUTE } from './usage.js';

/** A kernel as the recorder runs it. */
export interface Kernel {
  readonly spec: KernelSpec;
  readonly names: readonly string[];
  readonly writes: readonly boolean[];
  readonly params: readonly { readonly name: string; readonly isFloat: boolean }[];
  /** Programs by which bindings share a buffer; `''` where none do. */
  readonly programs: Map<string, Program>;
}

/** A compiled kernel and the bind groups made for it. */
export interface Program {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
  /** Indices of the bindings that are declared. */
  readonly slots: readonly number[];
  readonly bindGroups: Map<string, GPUBindGroup>;
}

/** A kernel, and which of its bindings share a buffer: what a program is compiled from. */
export interface PlannedProgram {
  readonly spec: KernelSpec;
  readonly variant: string;
}

/** Names which inputs, and which outputs, lie in the buffer of an output; `''` where none do. */
export function variantOf(writes: readonly boolean[], storages: readonly GpuStorage[]): string {
  let variant = '';
  for (let i = 0; i < storages.length; i++) {
    if (!writes[i]) continue;
    for (let j = 0; j < storages.length; j++)
      if (storages[i] === storages[j] && i !== j && !(writes[j] && j < i)) variant += `${j}>${i};`;
  }
  return variant;
}

/** One group for all: setting a second one with every dispatch takes as long as the first. */
const PARAMETERS: GPUBindGroupLayoutEntry = {
  binding: PARAMETER_BINDING,
  visibility: SHADER_STAGE_COMPUTE,
  buffer: {
    type: 'uniform',
    hasDynamicOffset: true,
    minBindingSize: MOST_MERGED * PARAMETER_BYTES,
  },
};

/** Compiles every kernel once. */
export class Pipelines {
  readonly #device: GPUDevice;
  readonly #kernels = new Map<string, Kernel>();
  readonly #layouts = new Map<string, GPUBindGroupLayout>();

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  kernel(spec: KernelSpec): Kernel {
    const known = this.#kernels.get(spec.key);
    if (known) return known;
    const names = Object.keys(spec.bindings);
    const kernel: Kernel = {
      spec,
      names,
      writes: names.map((name) => spec.bindings[name].access === 'read_write'),
      params: Object.entries(spec.params).map(([name, type]) => ({
        name,
        isFloat: type === 'f32',
      })),
      programs: new Map(),
    };
    this.#kernels.set(spec.key, kernel);
    return kernel;
  }

  /** The program for these buffers: another text where an input lies in the buffer of an output. */
  program(kernel: Kernel, storages: readonly GpuStorage[]): Program {
    const variant = variantOf(kernel.writes, storages);
    let program = kernel.programs.get(variant);
    if (!program) {
      const { descriptor, layout, slots } = this.#describe(kernel, variant);
      const pipeline = this.#device.createComputePipeline(descriptor);
      program = { pipeline, layout, slots, bindGroups: new Map() };
      kernel.programs.set(variant, program);
    }
    return program;
  }

  /** Compiles programs side by side; one that is needed before its turn is compiled there and then. */
  async prepare(planned: readonly PlannedProgram[]): Promise<void> {
    await Promise.all(
      planned.map(async ({ spec, variant }) => {
        const kernel = this.kernel(spec);
        if (kernel.programs.has(variant)) return;
        const { descriptor, layout, slots } = this.#describe(kernel, variant);
        const pipeline = await this.#device.createComputePipelineAsync(descriptor);
        if (!kernel.programs.has(variant))
          kernel.programs.set(variant, { pipeline, layout, slots, bindGroups: new Map() });
      }),
    );
  }

  /** No bind group made so far is used again. */
  forgetBindGroups(): void {
    for (const { programs } of this.#kernels.values())
      for (const { bindGroups } of programs.values()) bindGroups.clear();
  }

  #describe(kernel: Kernel, variant: string) {
    const { spec, names } = kernel;
    const aliases = [...names];
    for (const pair of variant.split(';').filter(Boolean)) {
      const [from, to] = pair.split('>').map(Number);
      if (spec.bindings[names[from]].type !== spec.bindings[names[to]].type)
        throw new QLoraError(
          'WEBGPU_ALIAS',
          `${spec.key}: ${names[from]} and ${names[to]} share a buffer but not a type; use a buffer each`,
          { kind: 'runtime', details: { kernel: spec.key } },
        );
      aliases[from] = aliases[to];
    }
    const slots = names.flatMap((name, i) => (aliases[i] === name ? [i] : []));
    const layout = this.#layout(kernel, slots);
    const code = wgslOf(spec, aliases);
    const module = this.#device.createShaderModule({ code, label: spec.key });
    const descriptor: GPUComputePipelineDescriptor = {
      layout: this.#device.createPipelineLayout({ bindGroupLayouts: [layout] }),
      compute: { module, entryPoint: 'main' },
      label: spec.key,
    };
    return { descriptor, layout, slots };
  }

  #layout(kernel: Kernel, slots: readonly number[]): GPUBindGroupLayout {
    const { maxStorageBuffersPerShaderStage: most } = this.#device.limits;
    if (slots.length > most)
      throw new QLoraError(
        'WEBGPU_BINDING',
        `${kernel.spec.key} takes ${slots.length} buffers and this GPU lets it have ${most}; use the CPU engine`,
        { kind: 'runtime', details: { kernel: kernel.spec.key, buffers: slots.length, most } },
      );
    const key = slots.map((i) => `${i}${kernel.writes[i] ? 'w' : 'r'}`).join();
    let layout = this.#layouts.get(key);
    if (!layout) {
      layout = this.#device.createBindGroupLayout({
        entries: [
          ...slots.map((binding): GPUBindGroupLayoutEntry => {
            const type = kernel.writes[binding] ? 'storage' : 'read-only-storage';
            return { binding, visibility: SHADER_STAGE_COMPUTE, buffer: { type } };
          }),
          PARAMETERS,
        ],
      });
      this.#layouts.set(key, layout);
    }
    return layout;
  }
}
