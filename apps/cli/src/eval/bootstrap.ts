import { counterKey, counterUniform } from '@qlorajs/compute';

/** A ratio of sums over independent units (chats, texts): mean loss, or a share of answers. */
export interface Ratio {
  readonly numerators: readonly number[];
  /** A unit with 0 does not count. */
  readonly denominators: readonly number[];
}

/** A figure with its confidence interval. */
export interface Estimate {
  readonly value: number;
  readonly low: number;
  readonly high: number;
  /** Units that count. */
  readonly n: number;
}

/** How intervals are made. */
export interface BootstrapOptions {
  /** Default 2000. */
  readonly resamples?: number;
  /** Default 0.95. */
  readonly confidence?: number;
  /** Default 42. */
  readonly seed?: number;
}

const sum = (values: readonly number[]) => values.reduce((total, each) => total + each, 0);

/** `resamples` draws of n units with replacement, as counts of each unit; the same for a given seed. */
function* draws(n: number, resamples: number, seed: number): Generator<Float64Array> {
  const key = counterKey(seed, 0xb007);
  for (let r = 0; r < resamples; r++) {
    const counts = new Float64Array(n);
    for (let i = 0; i < n; i++) counts[Math.floor(counterUniform(key, r * n + i) * n)]++;
    yield counts;
  }
}

function weighted({ numerators, denominators }: Ratio, counts: Float64Array): number {
  let [top, bottom] = [0, 0];
  for (let i = 0; i < counts.length; i++) {
    top += counts[i] * numerators[i];
    bottom += counts[i] * denominators[i];
  }
  return top / bottom;
}

function quantile(sorted: Float64Array, q: number): number {
  const at = q * (sorted.length - 1);
  const below = Math.floor(at);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (at - below) * (sorted[above] - sorted[below]);
}

/**
 * A function of ratios over the same units, with a percentile bootstrap interval (Efron, 1979):
 * units are drawn with replacement, the same ones for every ratio, so that a difference of two
 * models on the same chats is a paired one.
 * @returns null when nothing counts
 */
export function bootstrap(
  ratios: readonly Ratio[],
  of: (values: readonly number[]) => number,
  { resamples = 2000, confidence = 0.95, seed = 42 }: BootstrapOptions = {},
): Estimate | null {
  const units = ratios[0].numerators.length;
  const counted = Array.from({ length: units }, (_, i) => i).filter((i) =>
    ratios.every(({ denominators }) => denominators[i] > 0),
  );
  const n = counted.length;
  if (n === 0) return null;
  const kept = ratios.map(({ numerators, denominators }) => ({
    numerators: counted.map((i) => numerators[i]),
    denominators: counted.map((i) => denominators[i]),
  }));
  const value = of(kept.map((each) => sum(each.numerators) / sum(each.denominators)));
  const values = Float64Array.from(draws(n, resamples, seed), (counts) =>
    of(kept.map((each) => weighted(each, counts))),
  ).sort();
  const tail = (1 - confidence) / 2;
  return { value, low: quantile(values, tail), high: quantile(values, 1 - tail), n };
}
