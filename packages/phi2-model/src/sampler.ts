import { counterKey, counterUniform } from '@qlorajs/compute';

/** How the next token is chosen; the names and the order of the steps are transformers'. */
export interface SamplingOptions {
  /** 0 (the default) is greedy. */
  readonly temperature?: number;
  /** Keep the k likeliest; 0 (the default) keeps all. */
  readonly topK?: number;
  /** Keep the smallest set with this probability; 1 (the default) keeps all. */
  readonly topP?: number;
  /** Divides positive and multiplies negative logits of tokens seen before; 1 (the default) is off. */
  readonly repetitionPenalty?: number;
  /** Of the draws; 0 by default. */
  readonly seed?: number;
}

/** A chosen token and its log-probability under the model (before temperature and filters). */
export interface SampledToken {
  readonly id: number;
  readonly logprob: number;
}

/** CTRL's penalty (https://arxiv.org/abs/1909.05858), in place. */
function penalize(logits: Float32Array, seen: Iterable<number>, penalty: number): void {
  for (const id of new Set(seen))
    if (id < logits.length) logits[id] *= logits[id] > 0 ? 1 / penalty : penalty;
}

function indexOfLargest(values: Float32Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i;
  return best;
}

function logSumExp(values: Float32Array): number {
  const largest = values[indexOfLargest(values)];
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += Math.exp(values[i] - largest);
  return largest + Math.log(sum);
}

/** The candidates that top-k and top-p leave, likeliest first, with unnormalized probabilities. */
function candidates(
  logits: Float32Array,
  temperature: number,
  topK: number,
  topP: number,
): { ids: number[]; weights: number[] } {
  const order = Array.from(logits.keys()).sort((a, b) => logits[b] - logits[a] || a - b);
  const kept = topK > 0 ? order.slice(0, topK) : order;
  const largest = logits[kept[0]];
  const weights = kept.map((id) => Math.exp((logits[id] - largest) / temperature));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  let count = 0;
  let cumulative = 0;
  while (count < kept.length && (count === 0 || cumulative < topP * total))
    cumulative += weights[count++];
  return { ids: kept.slice(0, count), weights: weights.slice(0, count) };
}

/**
 * Chooses the next token: repetition penalty, temperature, top-k, top-p, then a draw.
 * @param logits f32 `[V]`, only read; ids from `limit` on are never chosen
 * @param seen the tokens so far, prompt included
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
  const { temperature = 0, topK = 0, topP = 1, repetitionPenalty = 1, seed = 0 } = options;
  const normalizer = logSumExp(logits);
  const allowed = logits.slice(0, limit);
  if (repetitionPenalty !== 1) penalize(allowed, seen, repetitionPenalty);
  const chosen = (id: number): SampledToken => ({ id, logprob: logits[id] - normalizer });
  if (temperature === 0) return chosen(indexOfLargest(allowed));
  const { ids, weights } = candidates(allowed, temperature, topK, topP);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  let rest = counterUniform(counterKey(seed, 0x5a3e), draw) * total;
  for (let i = 0; i < ids.length; i++) {
    rest -= weights[i];
    if (rest < 0) return chosen(ids[i]);
  }
  return chosen(ids[ids.length - 1]);
}
