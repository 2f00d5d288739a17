export { compareValues, type Mismatch } from './testing/compare.js';
export { checkCase, type OpCase } from './testing/op-case.js';
export { opCases } from './testing/op-cases.js';
export { OP_TOLERANCES, type Tolerance } from './testing/tolerances.js';
