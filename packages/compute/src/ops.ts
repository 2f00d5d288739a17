import type { AdamWArgs } from './ops/adamw/op.js';
import type { AdamW8bitArgs } from './ops/adamw8bit/op.js';
import type { AttentionArgs, AttentionBackwardArgs } from './ops/attention/op.js';
import type { ColumnSumsArgs, InverseRowNormsArgs, ScaleColumnsArgs } from './ops/columns/op.js';
import type { CrossEntropyArgs } from './ops/cross-entropy/op.js';
import type { DropoutArgs } from './ops/dropout/op.js';
import type { AxpbyArgs, FillArgs } from './ops/elementwise/op.js';
import type { GeluArgs, GeluBackwardArgs } from './ops/gelu/op.js';
import type { LayerNormArgs, LayerNormBackwardArgs } from './ops/layer-norm/op.js';
import type { LinearArgs, LinearBackwardArgs } from './ops/linear/op.js';
import type { MatmulArgs } from './ops/matmul/op.js';
import type { DequantizeNf4Args, QuantizeNf4Args } from './ops/nf4/op.js';
import type { ClipScaleArgs, SumSquaresArgs } from './ops/norm/op.js';
import type { RotaryArgs } from './ops/rotary/op.js';
import type { RowsArgs } from './ops/rows/op.js';

/**
 * The closed list of operations: what Phi-2, LoRA and AdamW need, and nothing else. Every output is
 * allocated by the caller; unless an argument says otherwise, outputs must not overlap inputs.
 */
export interface Ops {
  /** out[i] = source[ids[i]]; a negative id gives a row of zeros. */
  gatherRows(args: RowsArgs): void;
  /** out[ids[i]] = source[i]; negative ids are skipped; ids must not repeat. */
  scatterRows(args: RowsArgs): void;
  /** out[ids[i]] += source[i]; negative ids are skipped; ids may repeat (added in order of i). */
  scatterAddRows(args: RowsArgs): void;
  layerNorm(args: LayerNormArgs): void;
  layerNormBackward(args: LayerNormBackwardArgs): void;
  linear(args: LinearArgs): void;
  linearBackward(args: LinearBackwardArgs): void;
  matmul(args: MatmulArgs): void;
  rotary(args: RotaryArgs): void;
  attention(args: AttentionArgs): void;
  attentionBackward(args: AttentionBackwardArgs): void;
  gelu(args: GeluArgs): void;
  geluBackward(args: GeluBackwardArgs): void;
  crossEntropy(args: CrossEntropyArgs): void;
  dropout(args: DropoutArgs): void;
  axpby(args: AxpbyArgs): void;
  fill(args: FillArgs): void;
  sumSquares(args: SumSquaresArgs): void;
  clipScale(args: ClipScaleArgs): void;
  adamw(args: AdamWArgs): void;
  /** Absent from an engine that cannot pack bytes; `@qlorajs/paged-optim` then steps on the host. */
  adamw8bit?(args: AdamW8bitArgs): void;
  dequantizeNf4(args: DequantizeNf4Args): void;
  quantizeNf4(args: QuantizeNf4Args): void;
  scaleColumns(args: ScaleColumnsArgs): void;
  columnSums(args: ColumnSumsArgs): void;
  inverseRowNorms(args: InverseRowNormsArgs): void;
}

/** The names of the operations, in the order of {@link Ops}. */
export const OP_NAMES = [
  'gatherRows',
  'scatterRows',
  'scatterAddRows',
  'layerNorm',
  'layerNormBackward',
  'linear',
  'linearBackward',
  'matmul',
  'rotary',
  'attention',
  'attentionBackward',
  'gelu',
  'geluBackward',
  'crossEntropy',
  'dropout',
  'axpby',
  'fill',
  'sumSquares',
  'clipScale',
  'adamw',
  'adamw8bit',
  'dequantizeNf4',
  'quantizeNf4',
  'scaleColumns',
  'columnSums',
  'inverseRowNorms',
] as const satisfies readonly (keyof Ops)[];
