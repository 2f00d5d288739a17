import type { Backend } from '../backend.js';
import { REFERENCE_DECODING } from '../decoding/reference.js';
import { MemoryCounter } from '../memory-counter.js';
import { adamw } from '../ops/adamw/reference.js';
import { adamw8bit } from '../ops/adamw8bit/reference.js';
import { attention, attentionBackward } from '../ops/attention/reference.js';
import { columnSums, inverseRowNorms, scaleColumns } from '../ops/columns/reference.js';
import { crossEntropy } from '../ops/cross-entropy/reference.js';
import { dropout } from '../ops/dropout/reference.js';
import { axpby, fill } from '../ops/elementwise/reference.js';
import { gelu, geluBackward } from '../ops/gelu/reference.js';
import { layerNorm, layerNormBackward } from '../ops/layer-norm/reference.js';
import { linear, linearBackward } from '../ops/linear/reference.js';
import { matmul } from '../ops/matmul/reference.js';
import { quantizeNf4 } from '../ops/nf4/quantize.js';
import { dequantizeNf4 } from '../ops/nf4/reference.js';
import { clipScale, sumSquares } from '../ops/norm/reference.js';
import { rotary } from '../ops/rotary/reference.js';
import { gatherRows, scatterAddRows, scatterRows } from '../ops/rows/reference.js';
import type { Ops } from '../ops.js';
import { byteLengthOf, type DType, sizeOf, type Tensor, type TensorData } from '../tensor.js';
import { checkWrite, OwnedTensors, viewOf } from '../tensor-checks.js';
import { allocate, floats, halfToNumber, integers, type ReferenceStorage } from './storage.js';

const REFERENCE_OPS: Ops = {
  gatherRows,
  scatterRows,
  scatterAddRows,
  layerNorm,
  layerNormBackward,
  linear,
  linearBackward,
  matmul,
  rotary,
  attention,
  attentionBackward,
  gelu,
  geluBackward,
  crossEntropy,
  dropout,
  axpby,
  fill,
  sumSquares,
  clipScale,
  adamw,
  adamw8bit,
  dequantizeNf4,
  quantizeNf4,
  scaleColumns,
  columnSums,
  inverseRowNorms,
};

/** Options of {@link createReferenceBackend}. */
export interface ReferenceOptions {
  /** Bytes of tensors that may live at one time; no limit by default. */
  readonly memoryLimit?: number;
}

/**
 * Every operation as plain loops in float64: the oracle that other backends are compared with, and
 * slow. Tensors called f32 keep float64 values; memory is counted as if they were f32.
 *
 * @example
 * ```ts
 * import { createReferenceBackend, tensorFrom } from '@qlorajs/compute';
 *
 * const backend = createReferenceBackend();
 * const x = tensorFrom(backend, [3, 4], [2]);
 * const out = backend.empty('f32', [1]);
 * backend.ops.sumSquares({ x, out, accumulate: false });
 * console.log((await backend.read(out))[0]); // 25
 * ```
 */
export function createReferenceBackend(options: ReferenceOptions = {}): Backend {
  const counter = new MemoryCounter(options.memoryLimit);
  const owned = new OwnedTensors();
  return {
    name: 'reference',
    info: { precision: 'float64' },
    ops: REFERENCE_OPS,
    decoding: REFERENCE_DECODING,
    empty(dtype: DType, shape: readonly number[], label = ''): Tensor {
      const size = sizeOf(shape);
      counter.take(byteLengthOf({ dtype, size }), label);
      const storage: ReferenceStorage = { data: allocate(dtype, size) };
      const tensor = { dtype, shape, size, offset: 0, storage, label };
      owned.add(tensor);
      return tensor;
    },
    write(tensor: Tensor, data: TensorData, offset = 0): void {
      checkWrite(tensor, data, offset);
      if (tensor.dtype === 'f16') floats(tensor).set(Array.from(data, halfToNumber), offset);
      else (tensor.dtype === 'f32' ? floats(tensor) : integers(tensor)).set(data, offset);
    },
    async read(tensor: Tensor): Promise<Float32Array> {
      return Float32Array.from(floats(tensor));
    },
    async readIntegers(tensor: Tensor) {
      return integers(tensor).slice();
    },
    view: viewOf,
    free(tensor: Tensor): void {
      owned.release(tensor);
      counter.give(byteLengthOf(tensor));
    },
    memory: () => counter.usage,
    resetPeak: () => counter.resetPeak(),
    onShortage: (reclaim) => counter.onShortage(reclaim),
    async sync() {},
    async dispose() {
      owned.drain((tensor) => counter.give(byteLengthOf(tensor)));
    },
  };
}
