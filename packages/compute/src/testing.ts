export { type DecodingCase, decodingCases } from './decoding/cases.js';
export { badByteWrites } from './testing/byte-writes.js';
export { compareValues, type Mismatch } from './testing/compare.js';
export { checkCase, type OpCase, randomTensor, referenceOnce } from './testing/op-case.js';
export { opCases } from './testing/op-cases.js';
export {
  DECODING_TOLERANCES,
  GOLDEN_TOLERANCES,
  type GoldenTolerance,
  HALF_OP_TOLERANCES,
  OP_TOLERANCES,
  type Tolerance,
} from './testing/tolerances.js';
export { randomWeight } from './testing/weights.js';
