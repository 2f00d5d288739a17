/** What can be done to logits before a token is drawn; names and meanings are transformers'. */
export interface LogitsOptions {
  /** 0 (the default) is greedy: the largest logit wins and the filters below do not matter. */
  readonly temperature?: number;
  /** Keep the k likeliest; 0 (the default) keeps all. */
  readonly topK?: number;
  /** Keep the smallest set with this probability; 1 (the default) keeps all. */
  readonly topP?: number;
  /** Keep what is at least this fraction as likely as the likeliest; 0 (the default) keeps all. */
  readonly minP?: number;
  /** Divides positive and multiplies negative logits of tokens seen before; 1 (the default) is off. */
  readonly repetitionPenalty?: number;
}

/**
 * CTRL's penalty (https://arxiv.org/abs/1909.05858), in place. Factors in f32, as a device has them, so
 * that both choose the same.
 */
function penalize(logits: Float32Array, seen: Iterable<number>, penalty: number): void {
  const [less, more] = [Math.fround(1 / penalty), Math.fround(penalty)];
  for (const id of new Set(seen))
    if (id < logits.length) logits[id] *= logits[id] > 0 ? less : more;
}

/** The k-th largest value; the likeliest are few, so most values fail one comparison. */
function kthLargest(values: Float32Array, k: number): number {
  const largest = new Float64Array(k).fill(-Infinity); // ascending
  for (const value of values) {
    if (value <= largest[0]) continue;
    let at = 1;
    while (at < k && largest[at] < value) at++;
    largest.copyWithin(0, 1, at);
    largest[at - 1] = value;
  }
  return largest[0];
}

function removeBelow(scores: Float32Array, threshold: number): void {
  for (let i = 0; i < scores.length; i++) if (scores[i] < threshold) scores[i] = -Infinity;
}

export function largestOf(values: Float32Array): number {
  let largest = -Infinity;
  for (let i = 0; i < values.length; i++) if (values[i] > largest) largest = values[i];
  return largest;
}

/** The softmax of scores, not yet divided by its sum. A loop: `from` with a function takes 8 times as long. */
export function weightsOf(scores: Float32Array): Float64Array {
  const largest = largestOf(scores);
  const weights = new Float64Array(scores.length);
  for (let i = 0; i < scores.length; i++) weights[i] = Math.exp(scores[i] - largest);
  return weights;
}

export function sumOf(values: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i];
  return sum;
}

/** Scores so far below the largest are sorted only when they are part of the nucleus. */
const UNLIKELY = 10;

/** The smallest score of the nucleus (https://arxiv.org/abs/1904.09751). */
function nucleusThreshold(scores: Float32Array, topP: number): number {
  const weights = weightsOf(scores);
  const outside = (1 - topP) * sumOf(weights);
  let floor = largestOf(scores) - UNLIKELY;
  let below = 0;
  for (let i = 0; i < scores.length; i++) if (scores[i] < floor) below += weights[i];
  if (below > outside) {
    floor = -Infinity;
    below = 0;
  }
  const kept = scores.filter((score) => score >= floor && score > -Infinity).sort();
  const keptWeights = weightsOf(kept);
  for (let i = 0; i < kept.length - 1; i++) {
    below += keptWeights[i];
    if (below > outside) return kept[i];
  }
  return kept[kept.length - 1];
}

/**
 * Scores of the ids below `limit` after repetition penalty, temperature, top-k, top-p and min-p, in
 * transformers' order; what was filtered out is -Infinity. With temperature 0 the penalty alone.
 * @param logits f32 `[V]`, only read
 * @param seen the tokens that the repetition penalty counts
 * @param limit size of the tokenizer, which is smaller than the model's vocabulary
 * @returns f32 `[limit]`
 */
export function processLogits(
  logits: Float32Array,
  seen: Iterable<number>,
  limit: number,
  options: LogitsOptions = {},
): Float32Array {
  const { temperature = 0, topK = 0, topP = 1, minP = 0, repetitionPenalty = 1 } = options;
  const scores = logits.slice(0, limit);
  if (repetitionPenalty !== 1) penalize(scores, seen, repetitionPenalty);
  if (temperature === 0) return scores;
  if (temperature !== 1) for (let i = 0; i < scores.length; i++) scores[i] /= temperature;
  if (topK > 0 && topK < scores.length) removeBelow(scores, kthLargest(scores, topK));
  if (topP < 1) removeBelow(scores, nucleusThreshold(scores, topP));
  // p >= minP * pmax, as scores: the softmax's normalizer falls out.
  if (minP > 0) removeBelow(scores, largestOf(scores) + Math.log(minP));
  return scores;
}
