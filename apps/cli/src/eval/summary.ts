import { type BootstrapOptions, bootstrap, type Estimate } from './bootstrap.js';
import { METRICS, type Metric, neutralLoss } from './metrics.js';
import type { VoiceRecord } from './records.js';

/** What is forgotten on one kind of neutral text. */
interface Neutral {
  readonly perplexity: Estimate | null;
  /** Perplexity after over before, less 1; null for the base itself. */
  readonly forgetting: Estimate | null;
}

/** The figures of one voice. */
export interface VoiceSummary {
  readonly name: string;
  readonly adapter: string | null;
  readonly base: string;
  readonly load_in_4bit: boolean;
  readonly chats: number;
  readonly answers: number;
  readonly metrics: Readonly<Record<string, Estimate | null>>;
  /** Against the first voice, on the same chats: perplexity as a ratio, all else as a difference. */
  readonly versus_first: Readonly<Record<string, Estimate | null>> | null;
  /** The same against the first adapter, for the other adapters. */
  readonly versus_first_adapter: Readonly<Record<string, Estimate | null>> | null;
  readonly neutral: Readonly<Record<string, Neutral>>;
  /** Means alone, of the rows of each language and topic. */
  readonly by_language: Readonly<Record<string, Readonly<Record<string, number | null>>>>;
  readonly by_topic: Readonly<Record<string, Readonly<Record<string, number | null>>>>;
}

const figure = (metric: Metric, ratio: number) =>
  metric.unit === 'perplexity' ? Math.exp(ratio) : ratio;

/** Where every unit agrees the bootstrap sees no spread: the rule of three bounds it instead. */
function withRuleOfThree(estimate: Estimate | null): Estimate | null {
  if (estimate === null) return null;
  const { value, n } = estimate;
  if (value === 0) return { ...estimate, high: Math.min(1, 3 / n) };
  return value === 1 ? { ...estimate, low: Math.max(0, 1 - 3 / n) } : estimate;
}

function estimate(metric: Metric, voice: VoiceRecord, options: BootstrapOptions): Estimate | null {
  const found = bootstrap([metric.ratio(voice)], ([ratio]) => figure(metric, ratio), options);
  return metric.unit === 'share' ? withRuleOfThree(found) : found;
}

/** Paired: both must have measured the same units. */
function against(
  metric: Metric,
  [voice, first]: readonly [VoiceRecord, VoiceRecord],
  options: BootstrapOptions,
): Estimate | null {
  const ratios = [metric.ratio(voice), metric.ratio(first)];
  const difference = ([a, b]: readonly number[]) =>
    metric.unit === 'perplexity' ? Math.exp(a - b) : a - b;
  return bootstrap(ratios, difference, options);
}

function neutralOf(
  voice: VoiceRecord,
  base: VoiceRecord,
  options: BootstrapOptions,
): Record<string, Neutral> {
  const kinds = [...new Set(voice.neutral.map(({ kind }) => kind))];
  return Object.fromEntries(
    kinds.map((kind) => {
      const after = neutralLoss(voice, kind);
      const before = neutralLoss(base, kind);
      const growth = ([a, b]: readonly number[]) => Math.exp(a - b) - 1;
      return [
        kind,
        {
          perplexity: bootstrap([after], ([loss]) => Math.exp(loss), options),
          forgetting: voice === base ? null : bootstrap([after, before], growth, options),
        },
      ];
    }),
  );
}

function means(voice: VoiceRecord, key: 'topic' | 'language') {
  const groups = [...new Set(voice.chats.map((chat) => chat[key]))].filter((each) => each !== null);
  return Object.fromEntries(
    groups.sort().map((group) => {
      const part = { ...voice, chats: voice.chats.filter((chat) => chat[key] === group) };
      const values = METRICS.map((metric) => {
        const found = bootstrap([metric.ratio(part)], ([ratio]) => figure(metric, ratio), {
          resamples: 0,
        });
        return [metric.key, found?.value ?? null];
      });
      return [group, { chats: part.chats.length, ...Object.fromEntries(values) }];
    }),
  );
}

/**
 * Every figure of every voice with its interval. Forgetting is told against the voice without an
 * adapter that shares the base and its quantization, else against the first.
 */
export function summarize(
  voices: readonly VoiceRecord[],
  options: BootstrapOptions,
): VoiceSummary[] {
  const [first] = voices;
  const tuned = voices.find(({ adapter }) => adapter !== null);
  return voices.map((voice) => {
    const base =
      voices.find(
        (each) =>
          each.adapter === null &&
          each.base === voice.base &&
          each.load_in_4bit === voice.load_in_4bit,
      ) ?? first;
    const table = (of: (metric: Metric) => Estimate | null) =>
      Object.fromEntries(METRICS.map((metric) => [metric.key, of(metric)]));
    return {
      ...{ name: voice.name, adapter: voice.adapter, base: voice.base },
      load_in_4bit: voice.load_in_4bit,
      chats: voice.chats.length,
      answers: voice.chats.reduce((sum, { answers }) => sum + answers.length, 0),
      metrics: table((metric) => estimate(metric, voice, options)),
      versus_first:
        voice === first ? null : table((metric) => against(metric, [voice, first], options)),
      versus_first_adapter:
        tuned === undefined || voice.adapter === null || voice === tuned
          ? null
          : table((metric) => against(metric, [voice, tuned], options)),
      neutral: neutralOf(voice, base, options),
      by_language: means(voice, 'language'),
      by_topic: means(voice, 'topic'),
    };
  });
}
