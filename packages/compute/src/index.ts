export { type Backend, integersFrom, tensorFrom, type Uploads } from './backend.js';
export {
  type CountingBackend,
  type CountingOptions,
  type Counts,
  createCountingBackend,
} from './counting/backend.js';
export {
  type AdaptedLinear,
  type ChooseTokenArgs,
  checkChooseToken,
  checkDecodeBlock,
  type DecodeBlockArgs,
  type DecodedLinear,
  type Decoding,
  type LowRankUpdate,
} from './decoding/decoding.js';
export { MemoryCounter, type MemoryUsage, type Reclaim } from './memory-counter.js';
export { type AdamWArgs, checkAdamW } from './ops/adamw/op.js';
export {
  ADAM8_BLOCK,
  type AdamW8bitArgs,
  adamW8bitFactors,
  checkAdamW8bit,
} from './ops/adamw8bit/op.js';
export {
  type AttentionArgs,
  type AttentionBackwardArgs,
  type AttentionMask,
  checkAttention,
  checkAttentionBackward,
} from './ops/attention/op.js';
export {
  type ColumnSumsArgs,
  checkColumnSums,
  checkInverseRowNorms,
  checkScaleColumns,
  type InverseRowNormsArgs,
  type ScaleColumnsArgs,
} from './ops/columns/op.js';
export { type CrossEntropyArgs, checkCrossEntropy } from './ops/cross-entropy/op.js';
export { checkDropout, type DropoutArgs } from './ops/dropout/op.js';
export { type AxpbyArgs, checkAxpby, checkFill, type FillArgs } from './ops/elementwise/op.js';
export {
  checkGelu,
  checkGeluBackward,
  type GeluArgs,
  type GeluBackwardArgs,
} from './ops/gelu/op.js';
export {
  checkLayerNorm,
  checkLayerNormBackward,
  type LayerNormArgs,
  type LayerNormBackwardArgs,
} from './ops/layer-norm/op.js';
export {
  checkLinear,
  checkLinearBackward,
  type LinearArgs,
  type LinearBackwardArgs,
} from './ops/linear/op.js';
export { checkMatmul, type MatmulArgs } from './ops/matmul/op.js';
export {
  checkDequantizeNf4,
  checkQuantizeNf4,
  type DequantizeNf4Args,
  type QuantizeNf4Args,
  STORED_BYTES,
  type StoredDType,
} from './ops/nf4/op.js';
export { quantizeStoredNf4 } from './ops/nf4/quantize.js';
export {
  type ClipScaleArgs,
  checkClipScale,
  checkSumSquares,
  type SumSquaresArgs,
} from './ops/norm/op.js';
export { checkRotary, type RotaryArgs } from './ops/rotary/op.js';
export { checkGatherRows, checkScatterRows, type RowsArgs } from './ops/rows/op.js';
export { OP_NAMES, type Ops } from './ops.js';
export {
  bitsThreshold,
  type CounterKey,
  counterBits,
  counterKey,
  counterNormal,
  counterUniform,
  mix32,
} from './random.js';
export { Readback } from './readback.js';
export { createReferenceBackend, type ReferenceOptions } from './reference/backend.js';
export {
  BYTES_PER_ELEMENT,
  byteLengthOf,
  type DType,
  expectTensor,
  type Parameter,
  sizeOf,
  type Tensor,
  type TensorData,
} from './tensor.js';
export { checkWrite, nameOf, OwnedTensors, viewOf } from './tensor-checks.js';
export {
  type DenseWeight,
  type DoubleQuantizedScales,
  type LinearWeight,
  NF4_CODE,
  NF4_THRESHOLDS,
  type Nf4Weight,
  type PlainScales,
  weightTensors,
} from './weight.js';
