// node scripts/statistics.mjs [--json]: what the three files hold: counts by split, language, topic,
// level and skill, lengths, emojis, encoding, and near-duplicates by MinHash.
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { candidatePairs } from './near-duplicates.mjs';

const FILES = {
  train: 'tutor_dataset.jsonl',
  validation: 'validation.jsonl',
  test: 'test.jsonl',
};
const EMOJI = /\p{Extended_Pictographic}/gu;
// Byte order marks, replacement characters, no-break spaces, zero-width characters (the joiner's
// place inside an emoji aside), control characters but the line feed, lone surrogates.
const BAD = /(?!\n)\p{Cc}|[\p{Cs}\p{Co}\ufeff\ufffd\u00a0\u200b\u200c\u2028\u2029]/gu;

const least = (values) => values.reduce((a, b) => Math.min(a, b), Infinity);
const most = (values) => values.reduce((a, b) => Math.max(a, b), -Infinity);
const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;
const spread = (values) => ({
  ...{ least: least(values), mean: Number(mean(values).toFixed(1)), most: most(values) },
});
function counts(values) {
  const found = {};
  for (const value of values) found[value] = (found[value] ?? 0) + 1;
  return Object.fromEntries(Object.entries(found).sort());
}

/** Every row with the split that holds it. */
export function readSplits() {
  return Object.entries(FILES).flatMap(([split, name]) =>
    readFileSync(new URL(`../data/${name}`, import.meta.url), 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => ({ split, ...JSON.parse(line) })),
  );
}

/** The statistics of rows. */
export function statisticsOf(rows) {
  const contents = (row, role) => row.messages.filter((m) => m.role === role).map((m) => m.content);
  const whole = (row) => [...contents(row, 'user'), ...contents(row, 'assistant')].join('\n');
  const answers = rows.flatMap((row) => contents(row, 'assistant'));
  const words = (text) => text.split(/\s+/).length;
  const emojis = answers.flatMap((answer) => answer.match(EMOJI) ?? []);
  const pairs = candidatePairs(rows.map(whole)).sort((a, b) => b.exact - a.exact);
  const named = (pair) =>
    pair && {
      ...{ a: rows[pair.a].id, b: rows[pair.b].id, estimate: pair.estimate, exact: pair.exact },
    };
  const across = pairs.filter(({ a, b }) => rows[a].split !== rows[b].split);
  return {
    rows: rows.length,
    splits: counts(rows.map(({ split, language }) => `${split} ${language}`)),
    topics: counts(rows.map(({ topic, language }) => `${language} ${topic}`)),
    levels: counts(rows.map(({ level }) => level)),
    skills: counts(rows.flatMap(({ skills }) => skills)),
    turns: counts(rows.map((row) => contents(row, 'user').length)),
    wordsOfQuestion: spread(rows.flatMap((row) => contents(row, 'user')).map(words)),
    wordsOfAnswer: spread(answers.map(words)),
    charactersOfAnswer: spread(answers.map((answer) => [...answer].length)),
    emojisOfAnswer: spread(answers.map((answer) => (answer.match(EMOJI) ?? []).length)),
    emojis: counts(emojis),
    encodingFaults: rows.flatMap((row) => {
      const text = whole(row);
      const bad = text.match(BAD)?.length ?? 0;
      return bad > 0 || text !== text.normalize('NFC') ? [row.id] : [];
    }),
    nearestPair: named(pairs[0]) ?? null,
    nearestPairAcrossSplits: named(across[0]) ?? null,
  };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const statistics = statisticsOf(readSplits());
  if (process.argv.includes('--json')) console.log(JSON.stringify(statistics, null, 2));
  else
    for (const [name, value] of Object.entries(statistics))
      console.log(`${name}: ${JSON.stringify(value)}`);
}
