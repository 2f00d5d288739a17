import type { Ops } from '@qlorajs/compute';
import type { Engine } from '../engine.js';
import { adamwOps } from './adamw.js';
import { adamw8bitOps } from './adamw8bit.js';
import { attentionOps } from './attention.js';
import { crossEntropyOps } from './cross-entropy.js';
import { elementwiseOps } from './elementwise.js';
import { layerNormOps } from './layer-norm.js';
import { linearOps } from './linear.js';
import { matmulOps } from './product.js';
import { quantizeOps } from './quantize.js';
import { reductionOps } from './reductions.js';
import { rotaryOps } from './rotary.js';
import { rowsOps } from './rows.js';

/** Every operation, on one engine. */
export function createOps(engine: Engine): Ops {
  return {
    ...rowsOps(engine),
    ...layerNormOps(engine),
    ...linearOps(engine),
    ...matmulOps(engine),
    ...rotaryOps(engine),
    ...attentionOps(engine),
    ...elementwiseOps(engine),
    ...crossEntropyOps(engine),
    ...reductionOps(engine),
    ...adamwOps(engine),
    ...adamw8bitOps(engine),
    ...quantizeOps(engine),
  };
}
