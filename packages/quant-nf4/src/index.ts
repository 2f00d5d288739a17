export {
  type BitsandbytesEntry,
  type BitsandbytesSource,
  fromBitsandbytes,
  isBitsandbytesWeight,
  toBitsandbytes,
} from './bitsandbytes.js';
export { type BlockwiseCodes, dequantizeBlockwise, quantizeBlockwise } from './blockwise.js';
export { type DequantizeNf4Range, dequantizeNf4 } from './dequantize.js';
export { dynamicMap } from './dynamic-map.js';
export { NF4_CODE } from './nf4-code.js';
export {
  type DoubleQuantizedScales,
  type FloatDtype,
  NF4_BLOCK_SIZES,
  type Nf4Tensor,
  nf4Bytes,
  type PlainScales,
} from './nf4-tensor.js';
export {
  type Nf4QuantizationConfig,
  parseQuantizationConfig,
  toQuantizationConfig,
} from './quantization-config.js';
export {
  createNf4Quantizer,
  type Nf4Quantizer,
  type QuantizeNf4Options,
  quantizeNf4,
} from './quantize.js';
export { decodeScales, doubleQuantize } from './scales.js';
