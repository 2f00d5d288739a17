import {
  type Backend,
  checkWrite,
  type DType,
  MemoryCounter,
  OwnedTensors,
  sizeOf,
  type Tensor,
  type TensorData,
  viewOf,
} from '@qlorajs/compute';
import { type GpuJsMode, hasWebGl2, openDevice } from './device.js';
import { Engine } from './engine.js';
import type { GpuJsConstructor } from './gpu-js.js';
import { createOps } from './ops/index.js';
import { packBytes, unpackBytes } from './pack.js';
import { cellsFrom, cellsOf, type GpuJsStorage, storageOf } from './storage.js';

/** Options of {@link createGpuJsBackend}. */
export interface GpuJsOptions {
  /** The class `GPU` of the package gpu.js (2.24.1 or later). */
  readonly GPU: GpuJsConstructor;
  /** Default: `webgl2` where the host has it, else `webasm`. */
  readonly mode?: GpuJsMode;
  /** Bytes of tensors that may live at one time; no limit by default. */
  readonly tensorLimit?: number;
}

const BYTES_PER_CELL_OF_MEMORY = 4;

/**
 * The last-resort engine: every operation as gpu.js kernels, for pages that have WebGL2 and no WebGPU.
 * Everything is an f32 cell; bytes are packed three to a cell, so NF4 takes 5.33 bits a weight.
 *
 * @throws QLoraError `GPUJS_NO_WEBGL`, `GPUJS_START`; from operations `GPUJS_LIMIT`, `GPUJS_CONTEXT_LOST`,
 * `GPUJS_KERNEL`
 *
 * @example
 * ```ts
 * import { tensorFrom } from '@qlorajs/compute';
 * import { createGpuJsBackend } from '@qlorajs/compute-gpujs';
 * import { GPU } from 'gpu.js';
 *
 * const backend = await createGpuJsBackend({ GPU, mode: 'cpu' });
 * const x = tensorFrom(backend, [3, 4], [2]);
 * const out = backend.empty('f32', [1]);
 * backend.ops.sumSquares({ x, out, accumulate: false });
 * console.log((await backend.read(out))[0]); // 25
 * await backend.dispose();
 * ```
 */
export async function createGpuJsBackend(options: GpuJsOptions): Promise<Backend> {
  const mode = options.mode ?? (hasWebGl2() ? 'webgl2' : 'webasm');
  const device = openDevice(options.GPU, mode);
  const engine = new Engine(device);
  const owned = new OwnedTensors();
  const counter = new MemoryCounter(options.tensorLimit);
  const bytesOf = (cells: number) => cells * BYTES_PER_CELL_OF_MEMORY;
  const { textures, maxCells, renderer } = device;

  return {
    name: 'gpujs',
    info: { mode, maxCells, ...(renderer ? { renderer } : {}) },
    ops: createOps(engine),
    empty(dtype: DType, shape: readonly number[], label = ''): Tensor {
      const size = sizeOf(shape);
      const cells = cellsOf(dtype, size);
      engine.expectContext();
      engine.expectCells(cells, label);
      counter.take(bytesOf(cells), label);
      const integers =
        dtype === 'i32' ? new Int32Array(size) : dtype === 'u32' ? new Uint32Array(size) : null;
      const storage: GpuJsStorage = { owner: engine, cells, content: null, integers, freed: false };
      const tensor = { dtype, shape, size, offset: 0, storage, label };
      owned.add(tensor);
      return tensor;
    },
    write(tensor: Tensor, data: TensorData, offset = 0): void {
      const storage = storageOf(engine, tensor);
      checkWrite(tensor, data, offset);
      const at = tensor.offset + offset;
      if (tensor.dtype === 'u8') {
        packBytes(engine.host(storage), data, at);
        return;
      }
      storage.integers?.set(data, at);
      const values = cellsFrom(tensor, data);
      const part = { ...tensor, dtype: 'f32' as const, offset: at, size: data.length };
      // On the device a part is merged; an array of the host takes it at once.
      if (textures && storage.content && !(storage.content instanceof Float32Array))
        engine.store(part, values);
      else if (values.length === storage.cells) engine.replace(storage, values);
      else engine.host(storage).set(values, at);
    },
    async read(tensor: Tensor): Promise<Float32Array> {
      const storage = storageOf(engine, tensor);
      const { offset, size } = tensor;
      if (!storage.content) return new Float32Array(size);
      return engine.download(storage.content, storage.cells).slice(offset, offset + size);
    },
    async readIntegers(tensor: Tensor): Promise<Int32Array | Uint32Array | Uint8Array> {
      const storage = storageOf(engine, tensor);
      const { offset, size } = tensor;
      if (storage.integers) return storage.integers.slice(offset, offset + size);
      if (!storage.content) return new Uint8Array(size);
      return unpackBytes(engine.download(storage.content, storage.cells), offset, size);
    },
    view: viewOf,
    free(tensor: Tensor): void {
      owned.release(tensor);
      const storage = tensor.storage as GpuJsStorage;
      engine.replace(storage, null);
      storage.freed = true;
      counter.give(bytesOf(storage.cells));
    },
    memory: () => counter.usage,
    resetPeak: () => counter.resetPeak(),
    onShortage: (reclaim) => counter.onShortage(reclaim),
    async sync() {},
    async dispose() {
      owned.drain(({ storage }) => {
        const each = storage as GpuJsStorage;
        engine.replace(each, null);
        each.freed = true;
        counter.give(bytesOf(each.cells));
      });
      engine.stop();
    },
  };
}
