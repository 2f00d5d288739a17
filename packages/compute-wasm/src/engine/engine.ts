import { NF4_CODE } from '@qlorajs/compute';
import { QLoraError } from '@qlorajs/errors';
import { chooseBuild } from './choose-build.js';
import {
  CHUNKS,
  FLOATS,
  INTEGERS,
  KERNEL,
  KERNEL_INDEX,
  type Kernel,
  NEXT_CHUNK,
  SHARED_SCRATCH,
  THREAD_SCRATCH,
  THREAD_SCRATCH_BYTES,
} from './control.js';
import { HAS_SHARED_MEMORY, Heap } from './heap.js';
import { availableThreads, host, type KernelExports } from './host.js';
import { type Build, candidates, type ProductTile, type RelaxedSimd } from './kernels.js';
import { Pool } from './pool.js';

/** Options of `createWasmBackend`. */
export interface WasmOptions {
  /** Threads, the caller included. Default: the cores that the process may use. */
  readonly threads?: number;
  /** Fused multiply-add. Default `'auto'`: where the host knows relaxed SIMD. */
  readonly relaxedSimd?: RelaxedSimd;
  /** The products' tile, of the same bytes whichever it is. Default `'auto'`: the fastest, timed at start. */
  readonly tile?: ProductTile | 'auto';
  /** Bytes that the memory may grow to, scratch included. Default and most: 4 GiB less one page. */
  readonly memoryLimit?: number;
  /** Bytes of tensors that may live at one time; no limit of its own by default. */
  readonly tensorLimit?: number;
}

/** One call of a kernel. */
export interface Launch {
  /** Independent parts; threads take them one by one. */
  readonly chunks: number;
  /** Addresses, sizes and flags, in the order that the kernel documents. */
  readonly integers: readonly number[];
  readonly floats?: readonly number[];
  /** Rough work, in elements touched or multiply-adds: little of it is not worth waking threads. */
  readonly work: number;
}

/** Below this much work the caller is through before a worker has woken up. */
const WORTH_SHARING = 30_000;

/** More threads than this have not been tried. */
const MOST_THREADS = 64;
/** Bytes below which not even the scratch has room. */
const LEAST_MEMORY = 4 * 2 ** 20;
/** What 32-bit addresses reach. */
const MOST_MEMORY = 2 ** 32;

function expectOption(name: string, value: number | undefined, least: number, most: number): void {
  if (value === undefined || (Number.isInteger(value) && value >= least && value <= most)) return;
  throw new QLoraError(
    'COMPUTE_OPTION',
    `createWasmBackend: ${name} is ${value}; give an integer from ${least} to ${most}`,
    { details: { name, value, least, most } },
  );
}

/** The memory, the kernels and the threads. */
export class Engine {
  #sharedBytes = 0;
  #threadBytes = 0;

  private constructor(
    readonly heap: Heap,
    readonly build: Build,
    readonly threads: number,
    /** Rows of attention's tile. */
    readonly tileRows: number,
    /** The products' tile. */
    readonly tile: { readonly rows: number; readonly columns: number },
    readonly kernels: KernelExports,
    readonly pool: Pool | null,
  ) {}

  static async start(options: WasmOptions): Promise<Engine> {
    expectOption('threads', options.threads, 1, MOST_THREADS);
    expectOption('memoryLimit', options.memoryLimit, LEAST_MEMORY, MOST_MEMORY);
    const heap = new Heap(options.memoryLimit ?? MOST_MEMORY);
    const { relaxedSimd = 'auto', tile = 'auto' } = options;
    const { module, build } = await chooseBuild(candidates(relaxedSimd, tile), HAS_SHARED_MEMORY);
    const { exports } = await host.WebAssembly.instantiate(module, {
      env: { memory: heap.memory },
    });
    heap.open(exports.heapBase());
    const codes = heap.allocate(NF4_CODE.byteLength, 'any', 'NF4 codes');
    heap.f32.set(NF4_CODE, codes / 4);
    exports.initialize(codes);
    heap.free(codes);
    const wanted = options.threads ?? Math.min(MOST_THREADS, availableThreads());
    const threads = HAS_SHARED_MEMORY ? wanted : 1;
    const pool = threads > 1 ? await Pool.start(threads - 1, module, heap.memory) : null;
    const product = {
      rows: exports.PRODUCT_TILE_ROWS.value,
      columns: exports.PRODUCT_TILE_COLUMNS.value,
    };
    return new Engine(heap, build, threads, exports.ROWS.value, product, exports, pool);
  }

  /** Runs a kernel to its end, over all threads when there is enough to do. */
  run(kernel: Kernel, launch: Launch): void {
    if (launch.chunks === 0) return;
    const { i32, f32 } = this.heap;
    i32.set(launch.integers, INTEGERS);
    if (launch.floats) f32.set(launch.floats, FLOATS);
    i32[KERNEL] = KERNEL_INDEX[kernel];
    i32[CHUNKS] = launch.chunks;
    i32[NEXT_CHUNK] = 0;
    const call = this.kernels[kernel];
    const { pool } = this;
    try {
      if (pool && launch.chunks > 1 && launch.work >= WORTH_SHARING) pool.share(() => call(0));
      else call(0);
    } catch (cause) {
      throw new QLoraError(
        'COMPUTE_KERNEL',
        `the kernel ${kernel} trapped, so its outputs are undefined; please report this with the call that led to it`,
        { kind: 'runtime', details: { kernel, ...launch }, cause },
      );
    }
  }

  /**
   * Makes room for a kernel's scratch: `shared` bytes that all threads see and `perThread` bytes each.
   * It grows to what was needed most, is reused by every operation and is not counted as tensors.
   */
  reserveScratch(shared: number, perThread: number): void {
    if (shared > this.#sharedBytes) {
      if (this.#sharedBytes > 0) this.heap.free(this.heap.u32[SHARED_SCRATCH]);
      this.#sharedBytes = 0;
      this.heap.u32[SHARED_SCRATCH] = this.heap.allocate(shared, 'any', 'shared scratch');
      this.#sharedBytes = shared;
    }
    if (perThread > this.#threadBytes) {
      // Whole pages, so that two threads share neither cache lines nor pages.
      const bytes = Math.ceil(perThread / 4096) * 4096;
      if (this.#threadBytes > 0) this.heap.free(this.heap.u32[THREAD_SCRATCH]);
      this.#threadBytes = 0;
      const all = bytes * this.threads;
      this.heap.u32[THREAD_SCRATCH] = this.heap.allocate(all, 'any', 'scratch of the threads');
      this.heap.u32[THREAD_SCRATCH_BYTES] = bytes;
      this.#threadBytes = bytes;
    }
  }

  async stop(): Promise<void> {
    await this.pool?.stop();
  }
}
