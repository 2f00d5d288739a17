import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { neutralTexts, topicKeywords, tutorDataset } from './index.js';

interface Pair {
  readonly a: string;
  readonly b: string;
  readonly estimate: number;
  readonly exact: number;
}
interface Near {
  shingles(text: string): Set<string>;
  signature(set: Set<string>): Uint32Array;
  similarity(a: Uint32Array, b: Uint32Array): number;
  jaccard(a: Set<string>, b: Set<string>): number;
  candidatePairs(texts: readonly string[]): readonly { a: number; b: number; exact: number }[];
}

const script = (name: string) => new URL(`../scripts/${name}`, import.meta.url).href;
const near: Near = await import(script('near-duplicates.mjs'));
const statistics = JSON.parse(
  execFileSync(process.execPath, [fileURLToPath(script('statistics.mjs')), '--json'], {
    encoding: 'utf8',
  }),
);

const letters = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) => `palabra${from + i}`).join(' ');

test('MinHash estimates the Jaccard similarity, and finds a copy that was touched up', () => {
  for (const shift of [0, 20, 60, 100, 200]) {
    const [a, b] = [near.shingles(letters(0, 200)), near.shingles(letters(shift, 200 + shift))];
    const estimate = near.similarity(near.signature(a), near.signature(b));
    expect(Math.abs(estimate - near.jaccard(a, b))).toBeLessThan(4 / (2 * Math.sqrt(256)));
  }
  const rows = readFileSync(tutorDataset.train, 'utf8').split('\n', 40);
  const texts = rows.map((line) => JSON.parse(line).messages.at(-1).content as string);
  const copy = texts[7]!.replace('Consejo', 'Idea').replace('de la', 'de una');
  const [found, ...others] = near
    .candidatePairs([...texts, copy])
    .filter(({ exact }) => exact > 0.5);
  expect([found!.a, found!.b]).toEqual([7, 40]);
  expect(others).toEqual([]);
});

test('no two chats are near-duplicates by MinHash, least of all across splits', () => {
  const [nearest, across]: Pair[] = [statistics.nearestPair, statistics.nearestPairAcrossSplits];
  expect(Math.max(nearest!.exact, nearest!.estimate)).toBeLessThan(0.4);
  expect(Math.max(across!.exact, across!.estimate)).toBeLessThan(0.4);
});

test('is large enough, and balanced by topic, level and split', () => {
  const { topics, levels, splits, rows } = statistics;
  const of = (language: string) =>
    Object.entries<number>(topics)
      .filter(([name]) => name.startsWith(`${language} `))
      .map(([, count]) => count);
  const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
  expect(sum(of('es'))).toBeGreaterThanOrEqual(600);
  expect(sum(of('en'))).toBeGreaterThanOrEqual(120);
  for (const language of ['es', 'en']) {
    expect(of(language)).toHaveLength(17);
    expect(Math.max(...of(language)) / Math.min(...of(language))).toBeLessThan(3);
  }
  for (const count of Object.values<number>(levels)) expect(count / rows).toBeGreaterThan(0.15);
  for (const split of ['validation', 'test'])
    for (const language of ['es', 'en'])
      expect(splits[`${split} ${language}`]).toBeGreaterThanOrEqual(15);
});

test('keeps its encoding clean and its emojis to those of the house style', () => {
  expect(statistics.encodingFaults).toEqual([]);
  expect(Object.keys(statistics.emojis).sort()).toEqual([...'⏱⚖❓👉💡📌🔎🧪🪜'].sort());
  expect(statistics.emojisOfAnswer.least).toBeGreaterThanOrEqual(2);
  expect(statistics.emojisOfAnswer.most).toBeLessThanOrEqual(10);
  expect(statistics.wordsOfAnswer.most).toBeLessThanOrEqual(160);
});

test('its datasheets say what the files hold', () => {
  for (const name of ['../README.md', '../README.es.md']) {
    const readme = readFileSync(new URL(name, import.meta.url), 'utf8');
    expect(readme).toContain(`${statistics.rows} chats`);
    for (const count of Object.values<number>(statistics.levels))
      expect(readme).toContain(` ${count}`);
  }
});

test('every topic has keywords, and its answers speak of them', () => {
  const plain = (text: string) =>
    text
      .normalize('NFD')
      .replace(/\p{M}/gu, '')
      .toLowerCase()
      .match(/[\p{L}\p{N}]+/gu) ?? [];
  const shares = new Map<string, number[]>();
  for (const split of [tutorDataset.train, tutorDataset.validation, tutorDataset.test])
    for (const line of readFileSync(split, 'utf8').trimEnd().split('\n')) {
      const { topic, language, messages } = JSON.parse(line);
      const keywords: readonly string[] = topicKeywords[topic]![language as 'es' | 'en'];
      const answers = messages.filter(({ role }: { role: string }) => role === 'assistant');
      const words = plain(answers.map(({ content }: { content: string }) => content).join(' '));
      const spoken = keywords.filter((key) => words.some((word) => word.startsWith(key)));
      const name = `${language} ${topic}`;
      shares.set(name, [...(shares.get(name) ?? []), Number(spoken.length > 0)]);
    }
  const low = [...shares].flatMap(([name, each]) => {
    const share = each.reduce((a, b) => a + b, 0) / each.length;
    return share > 0.7 ? [] : [`${name} ${share}`];
  });
  expect(low).toEqual([]);
});

test('the neutral texts are of both kinds, clean, and in none of the chats', () => {
  const texts = readFileSync(neutralTexts, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(new Set(texts.map(({ kind }) => kind))).toEqual(new Set(['es', 'code']));
  const chats = [tutorDataset.train, tutorDataset.validation, tutorDataset.test].flatMap((url) =>
    readFileSync(url, 'utf8').trimEnd().split('\n'),
  );
  const all = [...texts.map(({ text }) => text as string), ...chats];
  const shared = near.candidatePairs(all).filter(({ a, exact }) => a < texts.length && exact > 0.1);
  expect(shared).toEqual([]);
});
