import {
  checkLayerNorm,
  checkLayerNormBackward,
  type LayerNormArgs,
  type LayerNormBackwardArgs,
} from '@qlorajs/compute';
import type { Engine } from '../engine/engine.js';
import { at } from './context.js';

/** Rows of a chunk. */
const ROWS = 4;

export function layerNorm(engine: Engine, args: LayerNormArgs): void {
  checkLayerNorm(args);
  const { x, weight, bias, out, mean, rstd, epsilon } = args;
  const tensors = [x, weight, bias, out, mean, rstd].map((tensor) => at(engine, tensor));
  engine.run('layerNorm', {
    chunks: Math.ceil(mean.size / ROWS),
    integers: [...tensors, mean.size, weight.size, ROWS],
    floats: [epsilon],
    work: 3 * x.size,
  });
}

export function layerNormBackward(engine: Engine, args: LayerNormBackwardArgs): void {
  checkLayerNormBackward(args);
  const { dOut, x, weight, mean, rstd, dX, accumulate } = args;
  const tensors = [dOut, x, weight, mean, rstd, dX].map((tensor) => at(engine, tensor));
  engine.run('layerNormBackward', {
    chunks: Math.ceil(mean.size / ROWS),
    integers: [...tensors, mean.size, weight.size, ROWS, accumulate ? 1 : 0],
    work: 3 * x.size,
  });
}
