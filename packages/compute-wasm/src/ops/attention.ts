import {
  type AttentionArgs,
  type AttentionBackwardArgs,
  checkAttention,
  checkAttentionBackward,
} from '@qlorajs/compute';
import type { Engine } from '../engine/engine.js';
import { ANY_NEGATIVE, at, expectIntegers } from './context.js';

/** Up to this many queries each is taken alone. */
const FEW_QUERIES = 4;
/** Kept in step with assembly/attention.ts. */
const QUERIES = 256;
const KEYS = 96;
/** Bytes of a panel of eight queries: maximum and sum, or two statistics; and its range of keys. */
const PANEL_BYTES = 64 + 80;
/** Kept in step with assembly/attention-backward.ts. */
const BACKWARD_QUERIES = 64;

const up = (value: number, multiple: number) => Math.ceil(value / multiple) * multiple;

function maskIntegers(
  engine: Engine,
  op: string,
  args: AttentionArgs | AttentionBackwardArgs,
): number[] {
  const { keyLengths, queryStart, firstKeys, keyLength } = args;
  expectIntegers(engine, op, 'keyLengths', keyLengths, ANY_NEGATIVE, keyLength);
  if (queryStart) expectIntegers(engine, op, 'queryStart', queryStart, 0, keyLength);
  if (firstKeys) expectIntegers(engine, op, 'firstKeys', firstKeys, 0, 2 ** 31 - 1);
  const tensors = [args.q, args.k, args.v, args.out, args.logSumExp, keyLengths];
  return [
    ...[...tensors, queryStart, firstKeys].map((tensor) => at(engine, tensor)),
    ...[args.queryLength, keyLength, args.heads, args.headDim],
  ];
}

export function attention(engine: Engine, args: AttentionArgs): void {
  checkAttention(args);
  const { batch, queryLength, keyLength, heads, headDim, scale } = args;
  const launch = {
    integers: maskIntegers(engine, 'attention', args),
    floats: [scale],
    work: batch * heads * queryLength * keyLength * headDim,
  };
  if (queryLength <= FEW_QUERIES) {
    engine.reserveScratch(0, 4 * keyLength);
    engine.run('attentionRow', { ...launch, chunks: batch * heads * queryLength });
    return;
  }
  const tall = up(headDim, engine.tileRows);
  const blocks = 8 * KEYS + KEYS * headDim + KEYS * tall + QUERIES * (headDim + tall);
  engine.reserveScratch(0, 4 * blocks + (QUERIES / 8) * PANEL_BYTES);
  const chunks = batch * heads * Math.ceil(queryLength / QUERIES);
  engine.run('attention', { ...launch, chunks });
}

export function attentionBackward(engine: Engine, args: AttentionBackwardArgs): void {
  checkAttentionBackward(args);
  const { batch, queryLength, keyLength, heads, headDim, scale } = args;
  const gradients = [args.dOut, args.delta, args.dQ, args.dK, args.dV];
  const tall = up(headDim, engine.tileRows);
  const wide = up(headDim, 8);
  const queries = up(queryLength, BACKWARD_QUERIES);
  const blocks = 3 * BACKWARD_QUERIES * KEYS + KEYS * (2 * headDim + tall + 2 * wide);
  const whole = queries * (2 * headDim + 2 * wide + tall);
  engine.reserveScratch(0, 4 * (blocks + whole) + (queries / 8) * PANEL_BYTES);
  engine.run('attentionBackward', {
    chunks: batch * heads,
    integers: [
      ...maskIntegers(engine, 'attentionBackward', args),
      ...gradients.map((tensor) => at(engine, tensor)),
    ],
    floats: [scale],
    work: 3 * batch * heads * queryLength * keyLength * headDim,
  });
}
