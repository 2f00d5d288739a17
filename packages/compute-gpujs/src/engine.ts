import type { Tensor } from '@qlorajs/compute';
import { QLoraError } from '@qlorajs/errors';
import type { Device } from './device.js';
import { type Cells, type GpuJsKernel, isTexture, type KernelArgument } from './gpu-js.js';
import { type KernelSource, kernel, textOf } from './kernel.js';
import { type GpuJsStorage, storageOf } from './storage.js';

/** What a kernel reads: a tensor, cells in between, or nothing (a zero). */
export type Operand = Tensor | Cells | null;

const UPLOAD = kernel('upload', ['a'], [], 'return a[this.thread.x];');

const ADD = kernel(
  'add',
  ['a', 'b'],
  ['beta'],
  'return a[aAt + this.thread.x] + beta * b[bAt + this.thread.x];',
);

/** A storage with `size` cells from `start` on replaced by `a`, plus `keep` times what they held. */
const MERGE = kernel(
  'merge',
  ['a', 'old'],
  ['start', 'size', 'keep'],
  `
  const at = this.thread.x - start;
  const before = old[oldAt + this.thread.x];
  let value = before;
  if (at >= 0 && at < size) {
    value = a[aAt + Math.max(0, Math.min(size - 1, at))];
    if (keep !== 0) { value = value + keep * before; }
  }
  return value;`,
);

const ZERO = new Float32Array(1);
const LONGEST_LOOP = 2 ** 24;
/** WebAssembly modules kept of a kernel, one for each sizes of arguments; each holds a memory. */
const MODULES = 32;

function isTensor(operand: Tensor | Cells): operand is Tensor {
  return 'storage' in operand;
}

/** Runs kernels, and keeps their results where the device has them. */
export class Engine {
  readonly device: Device;
  readonly #kernels = new Map<string, GpuJsKernel>();
  readonly #constants = new Map<Float32Array, Cells>();

  constructor(device: Device) {
    this.device = device;
  }

  /** @throws QLoraError `GPUJS_CONTEXT_LOST` */
  expectContext(): void {
    if (!this.device.isLost()) return;
    throw new QLoraError(
      'GPUJS_CONTEXT_LOST',
      'the browser took the WebGL context away (a driver reset, too much graphics memory, or too many pages); every tensor on it is gone: close other pages, make a new backend and load the model again, with a smaller batch or a shorter sequence, or use mode webasm',
      { kind: 'runtime', details: { mode: this.device.mode } },
    );
  }

  /** @throws QLoraError `GPUJS_LIMIT` */
  expectCells(cells: number, label: string): void {
    const { maxCells, mode } = this.device;
    if (cells <= maxCells) return;
    throw new QLoraError(
      'GPUJS_LIMIT',
      `${label || 'a tensor'} takes ${cells} cells, and gpu.js in mode ${mode} has at most ${maxCells} (a texture's size, or the whole numbers of f32); use a smaller batch or a shorter sequence, or the backend webgpu or wasm`,
      { kind: 'runtime', details: { label, cells, maxCells } },
    );
  }

  /** Computes `length` cells. */
  run(
    source: KernelSource,
    operands: readonly Operand[],
    numbers: readonly number[],
    length: number,
  ): Cells {
    if (length === 0) return new Float32Array(0);
    this.expectContext();
    this.expectCells(length, `the result of ${source.name}`);
    const uploaded: Cells[] = [];
    const args: KernelArgument[] = [];
    for (const operand of operands) {
      const [cells, at] = this.#argument(operand, uploaded);
      args.push(cells, at);
    }
    const result = this.#call(source, [...args, ...numbers], length);
    this.drop(...uploaded);
    return result;
  }

  /** Frees cells in between; tensors stay. */
  drop(...all: readonly Operand[]): void {
    for (const each of all) if (each && !isTensor(each) && isTexture(each)) each.delete();
  }

  /** A table that does not change, uploaded once. */
  constant(values: Float32Array): Cells {
    const known = this.#constants.get(values);
    if (known) return known;
    const cells = this.device.textures ? this.#upload(values) : values;
    this.#constants.set(values, cells);
    return cells;
  }

  /** Puts `value` into a tensor of one cell an element, plus `keep` times what it held; takes `value` over. */
  store(out: Tensor, value: Cells, keep = 0): void {
    if (out.size === 0) return;
    const storage = storageOf(this, out);
    const whole = out.offset === 0 && out.size === storage.cells;
    if (keep === 0 && whole) {
      this.replace(storage, value);
      return;
    }
    if (this.device.textures) {
      const numbers = [out.offset, out.size, keep];
      const merged = this.run(MERGE, [value, this.whole(out)], numbers, storage.cells);
      this.drop(value);
      this.replace(storage, merged);
      return;
    }
    const sum = keep === 0 ? value : this.run(ADD, [value, out], [keep], out.size);
    if (whole) this.replace(storage, sum);
    else this.host(storage).set(sum as Float32Array, out.offset);
  }

  /** The storage has `content` from now on. */
  replace(storage: GpuJsStorage, content: Cells | null): void {
    if (storage.content) this.drop(storage.content);
    storage.content = content;
  }

  /** The storage's cells as an array that may be written; in WebGL modes they are read back for it. */
  host(storage: GpuJsStorage): Float32Array {
    const { content } = storage;
    if (content instanceof Float32Array) return content;
    const values = content
      ? this.download(content, storage.cells)
      : new Float32Array(storage.cells);
    this.replace(storage, values);
    return values;
  }

  /** A tensor's storage on the device, from its first cell on. */
  whole(tensor: Tensor): Cells {
    const storage = storageOf(this, tensor);
    if (!this.device.textures) return this.host(storage);
    const content = storage.content ?? new Float32Array(storage.cells);
    if (isTexture(content)) return content;
    storage.content = this.#upload(content);
    return storage.content;
  }

  /** Cells as an array. */
  download(cells: Cells, count: number): Float32Array {
    this.expectContext();
    const values = isTexture(cells) ? cells.toArray() : cells;
    this.expectContext();
    return values.length === count ? values : values.subarray(0, count);
  }

  stop(): void {
    this.#kernels.clear();
    this.device.gpu.destroy();
  }

  #argument(operand: Operand, uploaded: Cells[]): readonly [Cells, number] {
    const { textures } = this.device;
    if (operand && isTensor(operand)) {
      const cells = this.whole(operand);
      if (isTexture(cells) || operand.dtype === 'u8') return [cells, operand.offset];
      return [cells.subarray(operand.offset, operand.offset + operand.size), 0];
    }
    const cells = operand ?? ZERO;
    if (!textures || isTexture(cells)) return [cells, 0];
    const texture = this.#upload(cells);
    uploaded.push(texture);
    return [texture, 0];
  }

  #upload(values: Float32Array): Cells {
    this.expectContext();
    this.expectCells(values.length, 'an array');
    return this.#call(UPLOAD, [values, 0], values.length);
  }

  #call(source: KernelSource, args: readonly KernelArgument[], length: number): Cells {
    try {
      const compiled = this.#compile(source);
      compiled.setOutput([length]);
      return compiled(...args);
    } catch (cause) {
      this.expectContext();
      throw new QLoraError(
        'GPUJS_KERNEL',
        `gpu.js fails at kernel ${source.name} in mode ${this.device.mode}: ${(cause as Error).message}; use another mode or the backend wasm, and report it`,
        { kind: 'runtime', details: { kernel: source.name, length }, cause },
      );
    }
  }

  #compile(source: KernelSource): GpuJsKernel {
    let compiled = this.#kernels.get(source.name);
    if (!compiled) {
      compiled = this.device.gpu.createKernel(textOf(source), {
        output: [1],
        precision: 'single',
        tactic: 'precision',
        pipeline: true,
        immutable: true,
        dynamicOutput: true,
        dynamicArguments: true,
        fixIntegerDivisionAccuracy: false,
        loopMaxIterations: LONGEST_LOOP,
      });
      if (compiled.kernel && 'moduleCacheLimit' in compiled.kernel)
        compiled.kernel.moduleCacheLimit = MODULES;
      this.#kernels.set(source.name, compiled);
    }
    return compiled;
  }
}
