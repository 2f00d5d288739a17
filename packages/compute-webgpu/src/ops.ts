import type { Ops } from '@qlorajs/compute';
import type { Engine } from './engine.js';
import { adamw } from './ops/adamw/adamw.js';
import { adamw8bit } from './ops/adamw8bit/adamw8bit.js';
import { attentionBackward } from './ops/attention/backward.js';
import { attention } from './ops/attention/forward.js';
import { columnSums, inverseRowNorms, scaleColumns } from './ops/columns/columns.js';
import { crossEntropy } from './ops/cross-entropy/cross-entropy.js';
import { dropout } from './ops/dropout/dropout.js';
import { axpby, fill } from './ops/elementwise/elementwise.js';
import { gelu, geluBackward } from './ops/gelu/gelu.js';
import { layerNorm, layerNormBackward } from './ops/layer-norm/layer-norm.js';
import { linear, linearBackward } from './ops/linear/linear.js';
import { matmul } from './ops/matmul/matmul.js';
import { dequantizeNf4 } from './ops/nf4/dequantize.js';
import { quantizeNf4 } from './ops/nf4/quantize.js';
import { clipScale, sumSquares } from './ops/norm/norm.js';
import { rotary } from './ops/rotary/rotary.js';
import { gatherRows, scatterAddRows, scatterRows } from './ops/rows/rows.js';

/** Every operation, on one engine. */
export function bindOps(engine: Engine): Ops {
  return {
    gatherRows: (args) => gatherRows(engine, args),
    scatterRows: (args) => scatterRows(engine, args),
    scatterAddRows: (args) => scatterAddRows(engine, args),
    layerNorm: (args) => layerNorm(engine, args),
    layerNormBackward: (args) => layerNormBackward(engine, args),
    linear: (args) => linear(engine, args),
    linearBackward: (args) => linearBackward(engine, args),
    matmul: (args) => matmul(engine, args),
    rotary: (args) => rotary(engine, args),
    attention: (args) => attention(engine, args),
    attentionBackward: (args) => attentionBackward(engine, args),
    gelu: (args) => gelu(engine, args),
    geluBackward: (args) => geluBackward(engine, args),
    crossEntropy: (args) => crossEntropy(engine, args),
    dropout: (args) => dropout(engine, args),
    axpby: (args) => axpby(engine, args),
    fill: (args) => fill(engine, args),
    sumSquares: (args) => sumSquares(engine, args),
    clipScale: (args) => clipScale(engine, args),
    adamw: (args) => adamw(engine, args),
    adamw8bit: (args) => adamw8bit(engine, args),
    dequantizeNf4: (args) => dequantizeNf4(engine, args),
    quantizeNf4: (args) => quantizeNf4(engine, args),
    scaleColumns: (args) => scaleColumns(engine, args),
    columnSums: (args) => columnSums(engine, args),
    inverseRowNorms: (args) => inverseRowNorms(engine, args),
  };
}
