import type { Ratio } from './bootstrap.js';
import { keepsFormat } from './format-score.js';
import type { AnswerRecord, CodeRecord, VoiceRecord } from './records.js';

/** What a figure is and how its ratio of sums becomes the figure. */
export interface Metric {
  readonly key: string;
  /** As tables show it. */
  readonly label: string;
  readonly unit: 'nats' | 'perplexity' | 'share';
  readonly better: 'lower' | 'higher';
  /** Sums over the units (chats, or texts) of a voice. */
  ratio(voice: VoiceRecord): Ratio;
}

const add = (values: readonly number[]) => values.reduce((sum, each) => sum + each, 0);

/** The mean over answers of a value; null does not count. */
function overAnswers(of: (answer: AnswerRecord) => number | boolean | null) {
  return ({ chats }: VoiceRecord): Ratio => {
    const values = chats.map(({ answers }) =>
      answers.map(of).flatMap((value) => (value === null ? [] : [Number(value)])),
    );
    return { numerators: values.map(add), denominators: values.map(({ length }) => length) };
  };
}

function overBlocks(of: (block: CodeRecord) => boolean | null) {
  return ({ chats }: VoiceRecord): Ratio => {
    const values = chats.map(({ answers }) =>
      answers
        .flatMap(({ code = [] }) => code.map(of))
        .flatMap((value) => (value === null ? [] : [Number(value)])),
    );
    return { numerators: values.map(add), denominators: values.map(({ length }) => length) };
  };
}

const chatLoss = ({ chats }: VoiceRecord): Ratio => ({
  numerators: chats.map(({ loss_sum }) => loss_sum),
  denominators: chats.map(({ tokens }) => tokens),
});

/** Nats a token over the neutral texts of a kind. */
export function neutralLoss({ neutral }: VoiceRecord, kind: string): Ratio {
  const texts = neutral.filter((each) => each.kind === kind);
  return {
    numerators: texts.map(({ loss_sum }) => loss_sum),
    denominators: texts.map(({ tokens }) => tokens),
  };
}

/** The figures on held-out chats, in the order of the tables. */
export const METRICS: readonly Metric[] = [
  { key: 'loss', label: 'loss', unit: 'nats', better: 'lower', ratio: chatLoss },
  {
    ...{ key: 'perplexity', label: 'perplexity', unit: 'perplexity', better: 'lower' },
    ratio: chatLoss,
  },
  {
    ...{ key: 'stop_rate', label: 'stops at the end of its turn', unit: 'share', better: 'higher' },
    ratio: overAnswers(({ finish_reason }) => finish_reason === 'stop'),
  },
  {
    ...{ key: 'format_score', label: 'keeps the format', unit: 'share', better: 'higher' },
    ratio: overAnswers(keepsFormat),
  },
  {
    ...{ key: 'structure', label: '· structure', unit: 'share', better: 'higher' },
    ratio: overAnswers(({ structure }) => structure),
  },
  {
    ...{ key: 'language_kept', label: '· language', unit: 'share', better: 'higher' },
    ratio: overAnswers(({ language_kept }) => language_kept),
  },
  {
    ...{ key: 'role_kept', label: '· role', unit: 'share', better: 'higher' },
    ratio: overAnswers(({ role_kept }) => role_kept),
  },
  {
    ...{ key: 'no_leakage', label: '· no template leakage', unit: 'share', better: 'higher' },
    ratio: overAnswers(({ no_leakage }) => no_leakage),
  },
  {
    ...{ key: 'keyword_recall', label: 'keyword recall', unit: 'share', better: 'higher' },
    ratio: overAnswers(({ keyword_recall }) => keyword_recall),
  },
  {
    ...{ key: 'degenerate', label: 'degenerate repetition', unit: 'share', better: 'lower' },
    ratio: overAnswers(({ degenerate }) => degenerate),
  },
  {
    ...{ key: 'repeated_4grams', label: 'repeated 4-word runs', unit: 'share', better: 'lower' },
    ratio: overAnswers(({ repeated_4grams }) => repeated_4grams),
  },
  {
    ...{ key: 'code_runs', label: 'code that runs', unit: 'share', better: 'higher' },
    ratio: overBlocks(({ ran }) => ran),
  },
  {
    ...{ key: 'code_output', label: 'code that prints what it says', unit: 'share' },
    better: 'higher',
    ratio: overBlocks(({ prints_what_it_says }) => prints_what_it_says),
  },
];
