import { expect, test } from 'vitest';
import type { AnswerRecord, VoiceRecord } from './records.js';
import { reportHtml } from './report-html.js';
import { summarize } from './summary.js';
import { formatTable } from './table.js';

function answer(stops: boolean): AnswerRecord {
  return {
    ...{ question: '¿Qué es <b>?', reference: 'r', answer: 'a <script>', tokens: 3 },
    finish_reason: stops ? 'stop' : 'length',
    ...{ structure: stops, language_kept: true, role_kept: true, no_leakage: true },
    ...{ keyword_recall: null, repeated_4grams: 0, degenerate: false },
  };
}

function voice(name: string, loss: number, neutral: number, stops: boolean): VoiceRecord {
  return {
    ...{ name, adapter: name === 'base' ? null : name, base: 'phi-nano', load_in_4bit: true },
    chats: [1, 2, 3].map((i) => ({
      ...{ id: `c${i}`, topic: i < 3 ? 'pilas' : 'colas', language: 'es' },
      ...{ loss_sum: loss * 10 * i, tokens: 10 * i, answers: [answer(stops)] },
    })),
    neutral: [1, 2].map((i) => ({ id: `n${i}`, kind: 'es', loss_sum: neutral * i, tokens: i })),
  };
}

const records = [
  voice('base', Math.log(300), Math.log(50), false),
  voice('tutor', Math.log(10), Math.log(55), true),
];
const summaries = summarize(records, { resamples: 200 });

test('figures, differences and forgetting are what the records give', () => {
  const [base, tutor] = summaries;
  expect(base.metrics.perplexity!.value).toBeCloseTo(300, 6);
  expect(tutor.metrics.perplexity!.value).toBeCloseTo(10, 6);
  expect(tutor.versus_first!.perplexity!.value).toBeCloseTo(1 / 30, 6);
  expect(tutor.versus_first!.stop_rate!.value).toBe(1);
  expect(tutor.neutral.es.forgetting!.value).toBeCloseTo(0.1, 6);
  expect(base.neutral.es.forgetting).toBe(null);
  expect(tutor.by_topic.pilas).toMatchObject({ chats: 2, stop_rate: 1, code_runs: null });
  expect(tutor.metrics.keyword_recall).toBe(null);
});

test('a second adapter is told against the first one too', () => {
  const [base, tutor] = records;
  const all = summarize([base, tutor, voice('other', Math.log(12), Math.log(55), true)], {
    resamples: 200,
  });
  expect(all.map(({ versus_first_adapter }) => versus_first_adapter?.perplexity?.value)).toEqual([
    undefined,
    undefined,
    expect.closeTo(1.2, 6),
  ]);
  expect(formatTable(all)).toContain('perplexity over that of tutor');
  expect(formatTable(summaries)).not.toContain('perplexity over that of tutor');
});

test('a share that every unit agrees on keeps the doubt of the rule of three', () => {
  expect(summaries[1].metrics.stop_rate).toEqual({ value: 1, low: 0, high: 1, n: 3 });
  expect(summaries[0].metrics.stop_rate).toEqual({ value: 0, low: 0, high: 1, n: 3 });
});

test('the table has a column a voice, and no row for what nobody measured', () => {
  const table = formatTable(summaries);
  expect(table).toContain('tutor');
  expect(table).not.toContain('code that runs');
  expect(new Set(table.split('\n').map((line) => line.length)).size).toBe(1);
});

test('the report stands alone: no script, no address, and what was generated is escaped', () => {
  const html = reportHtml({ title: 'T & t', facts: ['f'] }, summaries, records);
  expect(html).not.toMatch(/<script|https?:|src=|href=|@import|url\(/);
  expect(html).toContain('a &lt;script&gt;');
  expect(html).toContain('T &amp; t');
  expect(html).toContain('prefers-color-scheme: dark');
});
