import type { Ops } from '@qlorajs/compute';
import type { Engine } from '../engine/engine.js';
import { attention, attentionBackward } from './attention.js';
import { columnSums, inverseRowNorms, scaleColumns } from './columns.js';
import { crossEntropy } from './cross-entropy.js';
import { axpby, dropout, fill, gelu, geluBackward } from './elementwise.js';
import { layerNorm, layerNormBackward } from './layer-norm.js';
import { dequantizeNf4, linear, linearBackward, matmul } from './linear.js';
import { adamw, adamw8bit, clipScale, sumSquares } from './optimizer.js';
import { quantizeNf4 } from './quantize.js';
import { rotary } from './rotary.js';
import { gatherRows, scatterAddRows, scatterRows } from './rows.js';

/** Every operation, on `engine`. */
export function createOps(engine: Engine): Ops {
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
