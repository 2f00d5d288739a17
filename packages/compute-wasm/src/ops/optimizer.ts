import {
  ADAM8_BLOCK,
  type AdamW8bitArgs,
  type AdamWArgs,
  adamW8bitFactors,
  type ClipScaleArgs,
  checkAdamW,
  checkAdamW8bit,
  checkClipScale,
  checkSumSquares,
  type SumSquaresArgs,
} from '@qlorajs/compute';
import type { Engine } from '../engine/engine.js';
import { at, elementChunks } from './context.js';

/** Parts of a sum of squares, at most: a part never depends on the number of threads. */
const MOST_PARTS = 4096;
const LEAST_PART = 16384;

export function adamw(engine: Engine, args: AdamWArgs): void {
  checkAdamW(args);
  const { parameter, gradient, firstMoment, secondMoment, scale } = args;
  const { learningRate, beta1, beta2, epsilon, weightDecay, step } = args;
  const tensors = [parameter, gradient, firstMoment, secondMoment, scale];
  const decay = 1 - learningRate * weightDecay;
  const rate = learningRate / (1 - beta1 ** step);
  const correction = 1 / Math.sqrt(1 - beta2 ** step);
  engine.run('adamw', {
    chunks: elementChunks(parameter.size),
    integers: [...tensors.map((tensor) => at(engine, tensor)), parameter.size],
    floats: [decay, rate, correction, beta1, 1 - beta1, beta2, 1 - beta2, epsilon],
    work: 5 * parameter.size,
  });
}

export function adamw8bit(engine: Engine, args: AdamW8bitArgs): void {
  checkAdamW8bit(args);
  const { parameter, gradient, codes1, codes2, absmax1, absmax2, codeMaps, scale } = args;
  const tensors = [parameter, gradient, codes1, codes2, absmax1, absmax2, codeMaps, scale];
  const { beta1, rest1, beta2, rest2, stepSize, epsilon, keep } = adamW8bitFactors(args);
  // Two moments of a block, in f32.
  engine.reserveScratch(0, 2 * 4 * ADAM8_BLOCK);
  engine.run('adamw8bit', {
    chunks: absmax1.size,
    integers: [...tensors.map((tensor) => at(engine, tensor)), parameter.size],
    floats: [beta1, rest1, beta2, rest2, stepSize, epsilon, keep],
    work: 60 * parameter.size,
  });
}

export function sumSquares(engine: Engine, args: SumSquaresArgs): void {
  checkSumSquares(args);
  const { x, out, accumulate } = args;
  const part = Math.max(LEAST_PART, 4 * Math.ceil(x.size / MOST_PARTS / 4));
  const parts = Math.ceil(x.size / part);
  engine.reserveScratch(8 * parts, 0);
  engine.run('sumSquaresPart', {
    chunks: parts,
    integers: [at(engine, x), x.size, part],
    work: x.size,
  });
  engine.run('sumSquaresTotal', {
    chunks: 1,
    integers: [at(engine, out), parts, accumulate ? 1 : 0],
    work: parts,
  });
}

export function clipScale(engine: Engine, args: ClipScaleArgs): void {
  checkClipScale(args);
  engine.run('clipScale', {
    chunks: 1,
    integers: [at(engine, args.sumSquares), at(engine, args.out)],
    floats: [args.maxNorm],
    work: 1,
  });
}
