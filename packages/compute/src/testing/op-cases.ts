import { optimizerCases } from '../ops/adamw/cases.js';
import { adamw8bitCases } from '../ops/adamw8bit/cases.js';
import { attentionCases } from '../ops/attention/cases.js';
import { columnsCases } from '../ops/columns/cases.js';
import { crossEntropyCases } from '../ops/cross-entropy/cases.js';
import { elementwiseCases } from '../ops/elementwise/cases.js';
import { layerNormCases } from '../ops/layer-norm/cases.js';
import { linearCases } from '../ops/linear/cases.js';
import { matmulCases } from '../ops/matmul/cases.js';
import { quantizeCases } from '../ops/nf4/cases.js';
import { rotaryCases } from '../ops/rotary/cases.js';
import { rowsCases } from '../ops/rows/cases.js';
import type { OpCase } from './op-case.js';

/** Every case of every operation: what a backend must pass. */
export function opCases(): OpCase[] {
  return [
    ...rowsCases(),
    ...layerNormCases(),
    ...linearCases(),
    ...quantizeCases(),
    ...matmulCases(),
    ...rotaryCases(),
    ...attentionCases(),
    ...elementwiseCases(),
    ...crossEntropyCases(),
    ...optimizerCases(),
    ...columnsCases(),
    ...adamw8bitCases(),
  ];
}
