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
import type { HeldProduct } from './ops/linear/held.js';
import { matmul } from './ops/matmul/matmul.js';
import { dequantizeNf4 } from './ops/nf4/dequantize.js';
import { quantizeNf4 } from './ops/nf4/quantize.js';
import { clipScale, sumSquares } from './ops/norm/norm.js';
import { rotary } from './ops/rotary/rotary.js';
import { gatherRows, scatterAddRows, scatterRows } from './ops/rows/rows.js';

/** Every operation, on one engine. */
export function bindOps(engine: Engine, product: HeldProduct): Ops {
  const after =
    <Args>(operation: (engine: Engine, args: Args) => void) =>
    (args: Args): void => {
      product.flush();
      operation(engine, args);
    };
  return {
    gatherRows: after(gatherRows),
    scatterRows: after(scatterRows),
    scatterAddRows: after(scatterAddRows),
    layerNorm: after(layerNorm),
    layerNormBackward: after(layerNormBackward),
    linear: (args) => product.linear(args),
    linearBackward: (args) => product.linearBackward(args),
    matmul(args) {
      if (!product.takes(args)) matmul(engine, args);
    },
    rotary: after(rotary),
    attention: after(attention),
    attentionBackward: after(attentionBackward),
    gelu: after(gelu),
    geluBackward: after(geluBackward),
    crossEntropy: after(crossEntropy),
    dropout: after(dropout),
    axpby: after(axpby),
    fill: after(fill),
    sumSquares: after(sumSquares),
    clipScale: after(clipScale),
    adamw: after(adamw),
    adamw8bit: after(adamw8bit),
    dequantizeNf4: after(dequantizeNf4),
    quantizeNf4: after(quantizeNf4),
    scaleColumns: after(scaleColumns),
    columnSums: after(columnSums),
    inverseRowNorms: after(inverseRowNorms),
  };
}
