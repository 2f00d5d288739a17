/// <reference types="@webgpu/types" />
import { BYTES_PER_ELEMENT, type Tensor } from '@qlorajs/compute';
import { QLoraError } from '@qlorajs/errors';
import type { Faults } from './faults.js';
import { type KernelSpec, PARAMETER_BINDING, PARAMETER_BYTES } from './kernel.js';
import { Parameters } from './parameters.js';
import { type Kernel, Pipelines, type Program } from './pipelines.js';
import type { Profiler } from './profiler.js';
import type { Shortage } from './shortage.js';
import { type GpuStorage, storageOf } from './storage.js';
import { Tape, Tapes } from './tape.js';
import { accessesOf, Waiting } from './waiting.js';

/** Dispatches a submission holds at most: the device starts while the next ones are recorded. */
const DISPATCHES = 256;
/** Of the first submission after the device was waited for: it has nothing to do meanwhile. */
const FIRST_DISPATCHES = 32;

/** Number of workgroups along x, y and z. */
export type Groups = readonly [number, number?, number?];

/**
 * Records dispatches into one compute pass and submits them in batches. The parameters of a batch
 * travel in one uniform buffer, a slot each; pipelines and bind groups are made once.
 */
export class Recorder {
  readonly pipelines: Pipelines;
  /** Called by {@link flush}: submits what comes before the recorded commands. */
  beforeSubmit: () => void = () => {};
  readonly #device: GPUDevice;
  readonly #faults: Faults;
  readonly #maxBinding: number;
  readonly #parameters: Parameters;
  readonly #words = new Uint32Array((DISPATCHES * PARAMETER_BYTES) / 4);
  // What a dispatch is bound to, and its offset: kept, so that recording makes no garbage.
  readonly #bound: Tensor[] = [];
  readonly #storages: GpuStorage[] = [];
  readonly #bases: number[] = [];
  readonly #offsets = [0];
  readonly #floats = new Float32Array(this.#words.buffer);
  #encoder: GPUCommandEncoder | null = null;
  #pass: GPUComputePassEncoder | null = null;
  #used = 0;
  /** The program that the open pass is set to. */
  #program: Program | null = null;
  #recording = 1;
  /** Dispatches in the open recording, those of tapes among them. */
  #recorded = 0;
  /** The last dispatch that was asked for, where others may join it. */
  #waiting: Waiting | null = null;
  /** Dispatches that the open recording is submitted with. */
  #most = FIRST_DISPATCHES;
  readonly #tapes: Tapes;
  /** What is taped at the moment; false: something happened that cannot be played again. */
  #tape: Tape | false | null = null;

  readonly #profiler: Profiler | null;

  constructor(
    device: GPUDevice,
    faults: Faults,
    shortage: Shortage,
    maxBinding: number,
    profiler: Profiler | null = null,
  ) {
    this.#profiler = profiler;
    this.#device = device;
    this.#faults = faults;
    this.#maxBinding = maxBinding;
    this.pipelines = new Pipelines(device);
    this.#parameters = new Parameters(device, shortage, DISPATCHES);
    this.#tapes = new Tapes(this.#parameters);
  }

  /**
   * Records one dispatch.
   * @param spec looked up by its `key`: build it only where it is cheap, or keep it
   */
  dispatch<B extends string, P extends string>(
    spec: KernelSpec<B, P>,
    tensors: Readonly<Record<B, Tensor>>,
    params: Readonly<Record<P, number>>,
    groups: Groups,
  ): void {
    this.#faults.check();
    if (this.#recorded >= this.#most || this.#used === DISPATCHES) this.flush();
    const kernel = this.pipelines.kernel(spec);
    const { names, writes } = kernel;
    const [bound, storages, bases] = [this.#bound, this.#storages, this.#bases];
    bound.length = names.length;
    storages.length = names.length;
    const start = (this.#used * PARAMETER_BYTES) / 4;
    let at = start;
    for (let i = 0; i < names.length; i++) {
      bound[i] = tensors[names[i] as B];
      storages[i] = storageOf(bound[i]);
    }
    for (let i = 0; i < names.length; i++) {
      const [tensor, storage] = [bound[i], storages[i]];
      bases[i] = storage.bytes <= this.#maxBinding ? 0 : this.#baseOf(this.#sharers(kernel, i));
      this.#words[at++] = tensor.offset - bases[i] / BYTES_PER_ELEMENT[tensor.dtype];
      storage.recording = this.#recording;
      if (writes[i]) storage.version++;
      if (this.#tape) (writes[i] ? this.#tape.written : this.#tape.used).add(storage);
    }
    for (const { name, isFloat } of kernel.params) {
      const value = params[name as P];
      if (isFloat) this.#floats[at++] = value;
      else this.#words[at++] = value;
    }
    const program = this.pipelines.program(kernel, storages);
    const group = this.#bindGroup(kernel, program);
    const [x, y = 1, z = 1] = groups;
    const asked = { key: kernel.spec.key, program, group, x, y, slot: this.#used++ };
    if (!kernel.spec.merges) {
      this.#issueWaiting();
      this.#issue(asked, z, 1);
      return;
    }
    const accesses = accessesOf(kernel, bound);
    if (this.#waiting?.takes(asked, accesses)) return;
    this.#issueWaiting();
    this.#waiting = new Waiting(asked, accesses);
  }

  #issueWaiting(): void {
    const waiting = this.#waiting;
    if (!waiting) return;
    this.#waiting = null;
    this.#issue(waiting, waiting.count, waiting.count);
  }

  /** @param slots of parameters, from `slot` on */
  #issue(
    { key, program, group, x, y, slot }: Omit<Waiting, 'count' | 'takes'>,
    z: number,
    slots: number,
  ): void {
    const pass = this.#open(key);
    if (program !== this.#program) pass.setPipeline(program.pipeline);
    this.#program = program;
    this.#offsets[0] = slot * PARAMETER_BYTES;
    pass.setBindGroup(0, group, this.#offsets);
    pass.dispatchWorkgroups(x, y, z);
    this.#recorded++;
    if (this.#tape) {
      const [from, to] = [slot, slot + slots].map((each) => (each * PARAMETER_BYTES) / 4);
      this.#tape.add({ program, group, x, y, z }, this.#words.subarray(from, to));
    }
    if (this.#profiler?.active) this.#closePass();
  }

  /** Records a copy into `target`, a staging buffer. */
  copyOut(storage: GpuStorage, from: number, target: GPUBuffer, bytes: number): void {
    this.#faults.check();
    this.spoilTape();
    this.#issueWaiting();
    this.#closePass();
    this.#encoder ??= this.#device.createCommandEncoder();
    this.#encoder.copyBufferToBuffer(storage.buffer, from, target, 0, bytes);
    storage.recording = this.#recording;
  }

  /** Whether commands recorded but not submitted use this storage. */
  isPending(storage: GpuStorage): boolean {
    return storage.recording === this.#recording;
  }

  /** Submits what was recorded. */
  flush(): void {
    this.beforeSubmit();
    this.#issueWaiting();
    this.#closePass();
    if (!this.#encoder) return;
    const commands = this.#encoder.finish();
    this.#encoder = null;
    if (this.#used > 0) this.#parameters.write(0, this.#words, this.#used);
    this.#device.queue.submit([commands]);
    this.#used = 0;
    this.#recorded = 0;
    this.#recording++;
    this.#most = Math.min(2 * this.#most, DISPATCHES);
  }

  /** {@link flush}, after which the device is waited for: what follows is submitted soon. */
  flushToWait(): void {
    this.flush();
    this.#most = FIRST_DISPATCHES;
  }

  /**
   * Runs `work`, whose dispatches are kept under `key`; the next time they are issued again in its
   * stead. What `work` does must depend on the key and on the contents of tensors alone.
   */
  replay(key: string, work: () => void): void {
    this.#issueWaiting();
    const known = this.#profiler?.active ? undefined : this.#tapes.get(key);
    if (known) {
      this.#play(known);
      return;
    }
    if (this.#tape !== null || this.#profiler?.active) {
      work();
      return;
    }
    const tape = new Tape();
    this.#tape = tape;
    let whole = false;
    try {
      work();
      this.#issueWaiting();
      whole = this.#tape === tape && tape.dispatches.length > 0;
    } finally {
      this.#tape = null;
    }
    if (!whole) return;
    for (const storage of tape.written) tape.used.add(storage);
    if (this.#tapes.set(key, tape)) return;
    // It is recorded anew the next time, with bind groups that hold the larger buffer.
    this.flush();
    this.#tapes.clear();
    this.pipelines.forgetBindGroups();
    this.#parameters.grow(tape.slots);
  }

  /** What is taped at the moment does more than dispatch, and is not kept. */
  spoilTape(): void {
    if (this.#tape) this.#tape = false;
  }

  /** A storage goes: no tape may use it. */
  forget(storage: GpuStorage): void {
    this.spoilTape();
    this.#tapes.forget(storage);
  }

  #play(tape: Tape): void {
    this.#faults.check();
    let pass: GPUComputePassEncoder | null = null;
    for (const { program, group, offsets, x, y, z } of tape.dispatches) {
      if (this.#recorded >= this.#most) {
        this.flush();
        pass = null;
      }
      pass ??= this.#open('');
      if (program !== this.#program) pass.setPipeline(program.pipeline);
      this.#program = program;
      pass.setBindGroup(0, group, offsets);
      pass.dispatchWorkgroups(x, y, z);
      this.#recorded++;
    }
    for (const storage of tape.used) storage.recording = this.#recording;
    for (const storage of tape.written) storage.version++;
  }

  dispose(): void {
    this.#tapes.clear();
    this.#parameters.dispose();
  }

  #open(kernel: string): GPUComputePassEncoder {
    const timed = this.#profiler?.active ?? false;
    if (timed) this.#closePass();
    if (this.#pass) return this.#pass;
    this.#encoder ??= this.#device.createCommandEncoder();
    const timestampWrites = timed ? this.#profiler?.next(kernel) : undefined;
    this.#pass = this.#encoder.beginComputePass({ timestampWrites });
    this.#program = null;
    return this.#pass;
  }

  #closePass(): void {
    this.#pass?.end();
    this.#pass = null;
  }

  /** What is seen through the binding of the `i`th: where one of them is written, all that share its buffer. */
  #sharers({ writes }: Kernel, i: number): Tensor[] {
    const storage = this.#storages[i];
    const isShared = (_: Tensor, j: number) => this.#storages[j] === storage;
    const sharers = this.#bound.filter(isShared);
    return writes.some((each, j) => each && this.#storages[j] === storage)
      ? sharers
      : [this.#bound[i]];
  }

  /** Bytes before the bound part of a buffer that is too large to be bound whole. */
  #baseOf(tensors: readonly Tensor[]): number {
    const { minStorageBufferOffsetAlignment: unit } = this.#device.limits;
    const starts = tensors.map(({ offset, dtype }) => offset * BYTES_PER_ELEMENT[dtype]);
    return Math.floor(Math.min(...starts) / unit) * unit;
  }

  /** The bind group for what the dispatch is bound to. */
  #bindGroup(kernel: Kernel, program: Program): GPUBindGroup {
    const [tensors, storages, bases] = [this.#bound, this.#storages, this.#bases];
    let key = '';
    for (let i = 0; i < storages.length; i++) {
      key += storages[i].id;
      // A part of a buffer is bound up to the end of the tensor.
      if (storages[i].bytes > this.#maxBinding)
        key += `@${bases[i]}+${tensors[i].offset + tensors[i].size}`;
      key += ',';
    }
    const known = program.bindGroups.get(key);
    if (known) return known;
    const entries: GPUBindGroupEntry[] = program.slots.map((binding) => {
      const { buffer, bytes } = storages[binding];
      const offset = bases[binding];
      const size =
        bytes > this.#maxBinding ? this.#span(this.#sharers(kernel, binding), offset) : undefined;
      return { binding, resource: { buffer, offset, size } };
    });
    entries.push({ binding: PARAMETER_BINDING, resource: this.#parameters.resource });
    const group = this.#device.createBindGroup({ layout: program.layout, entries });
    program.bindGroups.set(key, group);
    for (const storage of storages) storage.bindGroups.add({ cache: program.bindGroups, key });
    return group;
  }

  /** Bytes from `base` to the end of the last of the tensors. */
  #span(tensors: readonly Tensor[], base: number): number {
    const ends = tensors.map(
      ({ offset, size, dtype }) => (offset + size) * BYTES_PER_ELEMENT[dtype],
    );
    const size = Math.ceil((Math.max(...ends) - base) / 4) * 4;
    const [tensor] = tensors;
    if (size <= this.#maxBinding) return size;
    throw new QLoraError(
      'WEBGPU_BINDING',
      `${tensor.label || 'a tensor'} has ${size} bytes, and one operation sees at most ${this.#maxBinding} here; use a smaller batch or a shorter sequence`,
      { kind: 'runtime', details: { label: tensor.label, size, limit: this.#maxBinding } },
    );
  }
}
