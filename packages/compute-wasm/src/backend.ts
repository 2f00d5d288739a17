import {
  type Backend,
  BYTES_PER_ELEMENT,
  byteLengthOf,
  checkWrite,
  type DType,
  MemoryCounter,
  OwnedTensors,
  sizeOf,
  type Tensor,
  type TensorData,
  viewOf,
} from '@qlorajs/compute';
import { Engine, type WasmOptions } from './engine/engine.js';
import { HAS_SHARED_MEMORY } from './engine/heap.js';
import { halfToNumber } from './half.js';
import { createOps } from './ops/index.js';
import { addressOf, type WasmStorage } from './tensors.js';

/**
 * The CPU engine: every operation in WebAssembly SIMD, over all cores. The same call gives the same
 * bytes for any number of threads. Operations run to their end before the call returns; in a page,
 * make the backend inside a worker. Without `SharedArrayBuffer` (a page that is not cross-origin
 * isolated) it runs on one thread.
 *
 * @param options see {@link WasmOptions}
 * @throws QLoraError `COMPUTE_NO_SIMD`, `COMPUTE_NO_RELAXED_SIMD`, `COMPUTE_WORKERS`,
 * `COMPUTE_OUT_OF_MEMORY` when the host cannot run it as asked.
 *
 * @example
 * ```ts
 * import { tensorFrom } from '@qlorajs/compute';
 * import { createWasmBackend } from '@qlorajs/compute-wasm';
 *
 * const backend = await createWasmBackend({ threads: 2 });
 * const x = tensorFrom(backend, [3, 4], [2]);
 * const out = backend.empty('f32', [1]);
 * backend.ops.sumSquares({ x, out, accumulate: false });
 * console.log((await backend.read(out))[0]); // 25
 * await backend.dispose();
 * ```
 */
export async function createWasmBackend(options: WasmOptions = {}): Promise<Backend> {
  const engine = await Engine.start(options);
  const { heap } = engine;
  const owned = new OwnedTensors();
  const counter = new MemoryCounter(options.tensorLimit);
  heap.reclaim = (bytes) => counter.reclaim(bytes);

  /** The elements as a view of the memory, valid until the memory grows. */
  function elements(tensor: Tensor) {
    const start = addressOf(heap, tensor) / BYTES_PER_ELEMENT[tensor.dtype];
    const { f32, u16, u8, i32, u32 } = heap;
    return { f32, f16: u16, u8, i32, u32 }[tensor.dtype].subarray(start, start + tensor.size);
  }

  return {
    name: 'wasm',
    info: {
      threads: engine.threads,
      relaxedSimd: engine.build.relaxed,
      tile: engine.build.tile,
      sharedMemory: HAS_SHARED_MEMORY,
      memoryLimit: heap.limit,
    },
    ops: createOps(engine),
    empty(dtype: DType, shape: readonly number[], label = ''): Tensor {
      const size = sizeOf(shape);
      const bytes = byteLengthOf({ dtype, size });
      counter.makeRoom(bytes, label);
      const address = heap.allocate(bytes, 'zeros', label);
      counter.take(bytes, label);
      const storage: WasmStorage = { address, heap };
      const tensor = { dtype, shape, size, offset: 0, storage, label };
      owned.add(tensor);
      return tensor;
    },
    write(tensor: Tensor, data: TensorData, offset = 0): void {
      checkWrite(tensor, data, offset);
      elements(tensor).set(data, offset);
    },
    async read(tensor: Tensor): Promise<Float32Array> {
      const view = elements(tensor);
      return view instanceof Float32Array ? view.slice() : Float32Array.from(view, halfToNumber);
    },
    async readIntegers(tensor: Tensor): Promise<Int32Array | Uint32Array | Uint8Array> {
      return elements(tensor).slice() as Int32Array | Uint32Array | Uint8Array;
    },
    view: viewOf,
    free(tensor: Tensor): void {
      owned.release(tensor);
      const storage = tensor.storage as WasmStorage;
      heap.free(storage.address);
      storage.address = -1;
      counter.give(byteLengthOf(tensor));
    },
    memory: () => counter.usage,
    resetPeak: () => counter.resetPeak(),
    onShortage: (reclaim) => counter.onShortage(reclaim),
    async sync() {},
    async dispose() {
      owned.drain((tensor) => {
        (tensor.storage as WasmStorage).address = -1;
        counter.give(byteLengthOf(tensor));
      });
      await engine.stop();
    },
  };
}
