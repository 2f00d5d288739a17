import { QLoraError } from '@qlorajs/errors';
import type { Backend } from '../backend.js';
import { MemoryCounter } from '../memory-counter.js';
import { OP_NAMES, type Ops } from '../ops.js';
import { byteLengthOf, type DType, sizeOf, type Tensor } from '../tensor.js';
import { workOf } from './work.js';

/** What a counting backend has seen. */
export interface Counts {
  /** Bytes that lived when most did, by label. */
  readonly peakParts: ReadonlyMap<string, number>;
  /** Multiply-adds of matrix products and attention. */
  readonly multiplyAdds: number;
}

/** A backend that allocates and computes nothing, and counts. */
export interface CountingBackend extends Backend {
  counts(): Counts;
}

/** Options of {@link createCountingBackend}. */
export interface CountingOptions {
  /** Bytes of tensors that may live at one time; no limit by default. */
  readonly memoryLimit?: number;
  /** What a tensor's storage is, for operations that look at it. */
  readonly storageOf?: (bytes: number) => unknown;
  /** Operations that are called for what they allocate; by default they do nothing. */
  readonly ops?: (backend: Backend) => Ops;
}

function countedOps(real: Ops | null, count: (multiplyAdds: number) => void): Ops {
  const entries = OP_NAMES.map((name) => [
    name,
    (args: never) => {
      count(workOf(name, args));
      (real?.[name] as ((args: never) => void) | undefined)?.(args);
    },
  ]);
  return Object.fromEntries(entries) as Ops;
}

/**
 * Runs a program dry: every tensor is counted and none exists, every operation returns at once, reads
 * give zeros. The very code that trains tells so what it will need.
 *
 * @example
 * ```ts
 * import { createCountingBackend } from '@qlorajs/compute';
 *
 * const backend = createCountingBackend();
 * const x = backend.empty('f32', [1024, 1024], 'x');
 * const out = backend.empty('f32', [1024, 1024], 'out');
 * const product = { m: 1024, n: 1024, k: 1024, transposeA: false, transposeB: false };
 * backend.ops.matmul({ a: x, b: x, out, ...product, alpha: 1, beta: 0 });
 * console.log(backend.memory().peak, backend.counts().multiplyAdds); // 8388608 1073741824
 * ```
 */
export function createCountingBackend(options: CountingOptions = {}): CountingBackend {
  const counter = new MemoryCounter(options.memoryLimit);
  const owned = new Set<Tensor>();
  let atPeak: readonly Tensor[] = [];
  let peak = 0;
  let multiplyAdds = 0;
  const backend: Omit<Backend, 'ops'> = {
    name: 'counting',
    info: {},
    empty(dtype: DType, shape: readonly number[], label = ''): Tensor {
      const size = sizeOf(shape);
      const bytes = byteLengthOf({ dtype, size });
      counter.take(bytes, label);
      const storage = options.storageOf?.(bytes) ?? null;
      const tensor = { dtype, shape, size, offset: 0, storage, label };
      owned.add(tensor);
      if (counter.usage.live > peak) {
        peak = counter.usage.live;
        atPeak = [...owned];
      }
      return tensor;
    },
    write() {},
    read: async ({ size }) => new Float32Array(size),
    readIntegers: async ({ size, dtype }) => {
      if (dtype === 'u8') return new Uint8Array(size);
      return dtype === 'i32' ? new Int32Array(size) : new Uint32Array(size);
    },
    view: (tensor, offset, shape) => ({
      ...tensor,
      shape,
      size: sizeOf(shape),
      offset: tensor.offset + offset,
    }),
    free(tensor: Tensor): void {
      if (!owned.delete(tensor))
        throw new QLoraError('COMPUTE_FREE', `free: ${tensor.label} is a view or was freed`, {
          kind: 'runtime',
        });
      counter.give(byteLengthOf(tensor));
    },
    memory: () => counter.usage,
    resetPeak() {
      counter.resetPeak();
      peak = counter.usage.live;
      atPeak = [...owned];
    },
    onShortage: (reclaim) => counter.onShortage(reclaim),
    async sync() {},
    async dispose() {
      for (const tensor of owned) counter.give(byteLengthOf(tensor));
      owned.clear();
    },
  };
  const count = (more: number) => {
    multiplyAdds += more;
  };
  const whole: CountingBackend = {
    ...backend,
    ops: countedOps(null, count),
    counts() {
      const peakParts = new Map<string, number>();
      for (const tensor of atPeak)
        peakParts.set(tensor.label, (peakParts.get(tensor.label) ?? 0) + byteLengthOf(tensor));
      return { peakParts, multiplyAdds };
    },
  };
  return options.ops ? { ...whole, ops: countedOps(options.ops(whole), count) } : whole;
}
