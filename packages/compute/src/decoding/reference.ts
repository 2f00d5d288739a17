import { attention } from '../ops/attention/reference.js';
import { axpby } from '../ops/elementwise/reference.js';
import { gelu } from '../ops/gelu/reference.js';
import { layerNorm } from '../ops/layer-norm/reference.js';
import { linear } from '../ops/linear/reference.js';
import { matmul } from '../ops/matmul/reference.js';
import { rotary } from '../ops/rotary/reference.js';
import { scatterRows } from '../ops/rows/reference.js';
import { allocate, floats, integers } from '../reference/storage.js';
import type { DType, Tensor } from '../tensor.js';
import {
  type AdaptedLinear,
  type ChooseTokenArgs,
  checkChooseToken,
  checkDecodeBlock,
  type DecodeBlockArgs,
  type Decoding,
} from './decoding.js';

function scratch(size: number, dtype: DType = 'f32'): Tensor {
  const storage = { data: allocate(dtype, size) };
  return { dtype, shape: [size], size, offset: 0, storage, label: '' };
}

/** out (+)= the layer of x. */
function adapted(layer: AdaptedLinear, x: Tensor, out: Tensor, accumulate: boolean): void {
  const { weight, bias, update } = layer;
  linear({ x, weight, bias, out, accumulate });
  if (!update) return;
  const { a, b, rank, scaling } = update;
  const hidden = scratch(rank);
  const [n, k] = weight.shape;
  const transposed = { m: 1, transposeA: false, transposeB: true };
  matmul({ a: x, b: a, out: hidden, n: rank, k, ...transposed, alpha: 1, beta: 0 });
  matmul({ a: hidden, b, out, n, k: rank, ...transposed, alpha: scaling, beta: 1 });
}

function block(args: DecodeBlockArgs): boolean {
  checkDecodeBlock(args);
  const { h, out, norm, epsilon, heads, headDim, rotaryDim, cos, sin, position, keys } = args;
  const width = heads * headDim;
  const row = () => scratch(width);
  const [x, q, k, v, attended] = [row(), row(), row(), row(), row()];
  layerNorm({ x: h, ...norm, epsilon, out: x, mean: scratch(1), rstd: scratch(1) });
  adapted(args.q, x, q, false);
  adapted(args.k, x, k, false);
  adapted(args.v, x, v, false);
  for (const each of [q, k])
    rotary({ x: each, positions: position, cos, sin, heads, headDim, rotaryDim, inverse: false });
  scatterRows({ source: k, ids: position, out: keys, width });
  scatterRows({ source: v, ids: position, out: args.values, width });
  const keyLengths = scratch(1, 'i32');
  integers(keyLengths)[0] = integers(position)[0] + 1;
  attention({
    ...{ batch: 1, queryLength: 1, keyLength: keys.size / width, heads, headDim },
    ...{ scale: 1 / Math.sqrt(headDim), keyLengths, queryStart: position, firstKeys: null },
    ...{ q, k: keys, v: args.values, out: attended, logSumExp: scratch(heads) },
  });
  const inner = scratch(args.fc1.weight.shape[0]);
  adapted(args.fc1, x, inner, false);
  gelu({ x: inner, out: inner });
  axpby({ x: h, out, alpha: 1, beta: 0 });
  adapted(args.dense, attended, out, true);
  adapted(args.fc2, inner, out, true);
  return true;
}

function chooseToken(args: ChooseTokenArgs): void {
  checkChooseToken(args);
  const logits = floats(args.logits);
  const seen = args.seen && integers(args.seen);
  const [less, more] = [Math.fround(1 / args.penalty), Math.fround(args.penalty)];
  const score = (id: number) =>
    seen?.[id] === 1 ? logits[id] * (logits[id] > 0 ? less : more) : logits[id];
  let best = 0;
  for (let id = 1; id < args.limit; id++) if (score(id) > score(best)) best = id;
  const largest = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  const sum = logits.reduce((total, each) => total + Math.exp(each - largest), 0);
  if (seen) seen[best] = 1;
  integers(args.id)[0] = best;
  floats(args.chosen).set([best, logits[best] - largest - Math.log(sum)]);
}

/** In float64, from the operations. */
export const REFERENCE_DECODING: Decoding = { block, chooseToken };
