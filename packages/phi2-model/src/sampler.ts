import { counterKey, counterUniform } from '@qlorajs/compute';
import {
  type LogitsOptions,
  largestOf,
  processLogits,
  sumOf,
  weightsOf,
} from './logits-processor.js';

/** How the next token is chosen. */
export interface SamplingOptions extends LogitsOptions {
  /** Of the draws; 0 by default. */
  readonly seed?: number;
  /** Tell so many of the likeliest tokens beside each chosen one; default 0. */
  readonly topLogprobs?: number;
}

/** A token and its log-probability under the model (before penalty, temperature and filters). */
export interface TokenLogprob {
  readonly id: number;
  readonly logprob: number;
}

/** A chosen token. */
export interface SampledToken extends TokenLogprob {
  /** With `topLogprobs`: the likeliest first. */
  readonly top?: readonly TokenLogprob[];
}

function indexOfLargest(values: Float32Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i;
  return best;
}

function logSumExp(values: Float32Array): number {
  const largest = largestOf(values);
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += Math.exp(values[i] - largest);
  return largest + Math.log(sum);
}

/** The ids of the largest values, largest first; of equal ones the smaller id. */
function likeliest(values: Float32Array, count: number): number[] {
  const ids: number[] = [];
  for (let id = 0; id < values.length; id++) {
    if (ids.length === count && values[id] <= values[ids[count - 1]]) continue;
    let at = ids.length;
    while (at > 0 && values[ids[at - 1]] < values[id]) at--;
    ids.splice(at, 0, id);
    if (ids.length > count) ids.pop();
  }
  return ids;
}

/** Draws from the softmax of scores. */
function drawFrom(scores: Float32Array, uniform: number): number {
  const weights = weightsOf(scores);
  let rest = uniform * sumOf(weights);
  let last = 0;
  for (let id = 0; id < weights.length; id++) {
    if (weights[id] === 0) continue;
    last = id;
    rest -= weights[id];
    if (rest < 0) break;
  }
  return last;
}

/**
 * Chooses the next token: {@link processLogits}, then the largest or a draw.
 * @param logits f32 `[V]`, only read; ids from `limit` on are never chosen
 * @param seen the tokens that the repetition penalty counts
 * @param limit size of the tokenizer, which is smaller than the model's vocabulary
 * @param draw how many tokens were drawn before: the draw depends on the seed and on this alone
 */
export function sampleToken(
  logits: Float32Array,
  seen: Iterable<number>,
  limit: number,
  draw: number,
  options: SamplingOptions = {},
): SampledToken {
  const { temperature = 0, seed = 0, topLogprobs = 0 } = options;
  const scores = processLogits(logits, seen, limit, options);
  const id =
    temperature === 0
      ? indexOfLargest(scores)
      : drawFrom(scores, counterUniform(counterKey(seed, 0x5a3e), draw));
  const normalizer = logSumExp(logits);
  const withLogprob = (each: number): TokenLogprob => ({
    id: each,
    logprob: logits[each] - normalizer,
  });
  if (topLogprobs === 0) return withLogprob(id);
  const top = likeliest(logits.subarray(0, limit), topLogprobs).map(withLogprob);
  return { ...withLogprob(id), top };
}
