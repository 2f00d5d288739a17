import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Tokenizer } from '@huggingface/tokenizers';
import { phiNano } from '@qlorajs/phi-nano';
import { describe, expect, test } from 'vitest';
import {
  ANSWER_HEADINGS,
  ENGLISH_ANSWER_HEADINGS,
  hasTutorFormat,
  headingsOf,
  quickstartQuestions,
  type TutorRow,
  tutorDataset,
} from './index.js';

const splits = { train: 0, validation: 0, test: 0 };
const read = (split: keyof typeof splits): TutorRow[] =>
  readFileSync(tutorDataset[split], 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
const names = Object.keys(splits) as (keyof typeof splits)[];
const rows = names.flatMap((split) => read(split).map((row) => ({ split, ...row })));
const answersOf = (row: TutorRow) =>
  row.messages.filter(({ role }) => role === 'assistant').map(({ content }) => content);
const questionsOf = (row: TutorRow) =>
  row.messages.filter(({ role }) => role === 'user').map(({ content }) => content);
const script = (name: string) => fileURLToPath(new URL(`../scripts/${name}`, import.meta.url));

const words = (text: string) => text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
/** The text's runs of `size` words. */
function shingles(text: string, size: number): Set<string> {
  const all = words(text);
  return new Set(all.slice(size - 1).map((_, at) => all.slice(at, at + size).join(' ')));
}
/** Every pair of texts that shares runs of `size` words, with the share (Jaccard) of those. */
function overlaps(
  texts: readonly string[],
  size: number,
): { a: number; b: number; share: number }[] {
  const holders = new Map<string, number[]>();
  const sets = texts.map((text) => shingles(text, size));
  const found: { a: number; b: number; share: number }[] = [];
  for (const [b, set] of sets.entries()) {
    const shared = new Uint32Array(b);
    for (const each of set) {
      const before = holders.get(each) ?? [];
      for (const a of before) shared[a]! += 1;
      before.push(b);
      holders.set(each, before);
    }
    shared.forEach((count, a) => {
      if (count > 0) found.push({ a, b, share: count / (sets[a]!.size + set.size - count) });
    });
  }
  return found;
}
const withoutCode = (text: string) => text.replace(/```[\s\S]*?```|`[^`]*`/g, ' ');

const SKILLS = [
  ...['definir', 'explicar', 'comparar', 'elegir', 'trazar', 'analizar', 'corregir'],
  ...['programar', 'seguimiento', 'declinar', 'guiar', 'aclarar'],
];

describe('the files', () => {
  test('are what data/src gives', () => {
    execFileSync(process.execPath, [script('build.mjs'), '--check'], { stdio: 'pipe' });
  });

  test('hold 80 % to train, 10 % to validate, 10 % to test, of every topic', () => {
    for (const [language, testsAt] of [
      ['es', 0],
      ['en', 3],
    ] as const) {
      const folder = language === 'es' ? '../data/src/' : '../data/src/en/';
      const topics = readdirSync(new URL(folder, import.meta.url))
        .filter((name) => name.endsWith('.txt'))
        .map((name) => name.replace(/\.txt$/, ''))
        .sort();
      const mine = rows.filter((row) => row.language === language);
      expect([...new Set(mine.map(({ topic }) => topic))].sort()).toEqual(topics);
      for (const topic of topics) {
        const share = (split: string) =>
          mine.filter((row) => row.topic === topic && row.split === split).length;
        const count = mine.filter((row) => row.topic === topic).length;
        expect(count).toBeGreaterThanOrEqual(language === 'es' ? 10 : 7);
        expect(share('validation')).toBe(Math.floor((count + 5) / 10));
        expect(share('test')).toBe(Math.floor((count + testsAt) / 10));
      }
    }
  });

  test('begin with the rows of before, and keep English after Spanish', () => {
    const first = readFileSync(tutorDataset.train, 'utf8').split('\n').slice(0, 136).join('\n');
    expect(createHash('sha256').update(first).digest('hex')).toBe(
      '3b6fb6011b609dba06e7c2ea9df0545abd20ddcb51ed0ac6c1441468e8097371',
    );
    for (const split of names) {
      const languages = read(split).map(({ language }) => language);
      expect(languages).toEqual([...languages].sort().reverse());
    }
  });
});

describe('each row', () => {
  test('has an id of its own, and known topic, level, language and skills', () => {
    expect(new Set(rows.map(({ id }) => id)).size).toBe(rows.length);
    for (const row of rows) {
      const prefix = row.language === 'en' ? 'en-' : '';
      expect(row.id).toMatch(new RegExp(`^${prefix}${row.topic}-\\d\\d+$`));
      expect(['basico', 'intermedio', 'avanzado']).toContain(row.level);
      expect(['es', 'en']).toContain(row.language);
      expect(SKILLS).toEqual(expect.arrayContaining([...row.skills]));
      expect(row.skills.length).toBeGreaterThan(0);
    }
  });

  test('begins with the system prompt, alternates user and assistant, and ends answered', () => {
    for (const { messages, language } of rows) {
      const content =
        language === 'es' ? tutorDataset.systemPrompt : tutorDataset.systemPromptEnglish;
      expect(messages[0]).toEqual({ role: 'system', content });
      const turns = messages.slice(1);
      expect(turns.length === 2 || turns.length === 4).toBe(true);
      turns.forEach(({ role, content }, index) => {
        expect(role).toBe(index % 2 === 0 ? 'user' : 'assistant');
        expect(content).toBe(content.trim());
        expect(content.length).toBeGreaterThan(0);
        expect(content).not.toMatch(/<\||\r|\t|\u00a0| $/m);
      });
    }
  });

  test('keeps its language: its function words, and none of the other outside its code', () => {
    const common = {
      es: /^(el|la|los|las|un|una|de|del|en|y|o|que|si|con|por|para|es|se|su|no|al|lo)$/,
      en: /^(the|a|an|of|to|in|and|or|if|is|it|that|with|for|you|by|on|as|not|one|its|how|do|has|are|at|from|each|be|i)$/,
    };
    const foreign = { es: /\b(the|and|is|are|with|you|this|which)\b/i, en: /[¿¡ñáéíóú]/i };
    for (const row of rows) {
      const prose = withoutCode([...questionsOf(row), ...answersOf(row)].join('\n'));
      const found = words(prose);
      const own = found.filter((word) => common[row.language].test(word));
      expect(own.length / found.length, `${row.id}: ${prose}`).toBeGreaterThan(0.15);
      expect(prose, row.id).not.toMatch(foreign[row.language]);
      for (const answer of row.language === 'es' ? answersOf(row).map(withoutCode) : []) {
        // Every question and exclamation that closes also opens; after a lone letter, ! is a factorial.
        expect(answer.split('¿').length, answer).toBe(answer.split('?').length);
        expect(answer.split('¡').length, answer).toBe(answer.split(/(?<!\b[a-z])!(?!=)/).length);
      }
    }
  });
});

describe('the answers', () => {
  test('keep the house format', () => {
    for (const row of rows) {
      for (const answer of answersOf(row)) expect(hasTutorFormat(answer), answer).toBe(true);
    }
  });

  test('open no paragraph with a mark of their own', () => {
    for (const row of rows) {
      for (const line of answersOf(row).join('\n').split('\n')) {
        if (/^\p{Extended_Pictographic}/u.test(line) && !line.startsWith('👉 ')) {
          expect(headingsOf(line), `${row.id}: ${line}`).toHaveLength(1);
        }
      }
    }
  });

  // Follow-ups alone did, in the same way, and a model then began all of its answers so.
  test('begin no paragraph with an exclamation', () => {
    for (const row of rows)
      for (const answer of answersOf(row)) expect(answer, row.id).not.toMatch(/^(📌 \*\*)?¡/m);
  });

  test('explain with an analogy, steps or a comparison, and the complexity', () => {
    for (const row of rows.filter(({ topic }) => topic !== 'limites')) {
      const headings = headingsOf(answersOf(row)[0]!);
      const [, analogy, steps, comparison, , complexity] =
        row.language === 'es' ? ANSWER_HEADINGS : ENGLISH_ANSWER_HEADINGS;
      expect(headings, row.id).toEqual(expect.arrayContaining([analogy, complexity]));
      expect(
        headings.filter((each) => each === steps || each === comparison),
        row.id,
      ).toHaveLength(1);
      expect(answersOf(row)[0], row.id).toMatch(/^⏱️ (Complejidad|Complexity): .*[OΩΘ]\(/m);
    }
  });

  test('number their steps from 1, one a line', () => {
    for (const row of rows) {
      for (const answer of answersOf(row)) {
        const steps =
          /🪜 (?:Pasos|Steps):\n((?:\d+\. .+\n?)+)/.exec(answer)?.[1]?.trimEnd().split('\n') ?? [];
        expect(answer.includes('🪜 ')).toBe(steps.length > 0);
        steps.forEach((step, index) => {
          expect(step).toMatch(new RegExp(`^${index + 1}\\. .+[^ ]$`));
        });
      }
    }
  });

  test('have code that prints what it says, traces that hold and known costs', () => {
    const said = execFileSync(process.execPath, [script('check.mjs')], {
      encoding: 'utf8',
      timeout: 120_000,
    });
    expect(said).toMatch(/^\d{3} Python blocks and \d{3} checks ran, 0 faults/);
    expect(said).toMatch(/^\d{2} JavaScript blocks ran, 0 faults/m);
    expect(said).toMatch(/^\d{3,4} complexity claims looked up, 0 faults/m);
  }, 120_000);
});

describe('the whole', () => {
  test('repeats no chat, not even nearly', () => {
    const wholes = rows.map((row) => [...questionsOf(row), ...answersOf(row)].join(' '));
    for (const { a, b, share } of overlaps(wholes, 3)) {
      expect(share, `${rows[a]!.id} and ${rows[b]!.id}`).toBeLessThan(0.4);
    }
    const questions = rows.map((row) => questionsOf(row).join(' '));
    for (const { a, b, share } of overlaps(questions, 1)) {
      expect(share, `${rows[a]!.id} and ${rows[b]!.id}`).toBeLessThan(0.8);
    }
  });

  test.each(names)('has chats of one turn and of two in %s', (split) => {
    const turns = read(split).map(({ messages }) => messages.length);
    expect(new Set(turns)).toEqual(new Set([3, 5]));
  });

  test('has about one chat in five of two turns and one in ten that declines or asks back', () => {
    const share = (wanted: (row: TutorRow) => boolean) => rows.filter(wanted).length / rows.length;
    expect(share(({ messages }) => messages.length === 5)).toBeGreaterThan(0.15);
    expect(share(({ messages }) => messages.length === 5)).toBeLessThan(0.25);
    expect(share(({ topic }) => topic === 'limites')).toBeGreaterThan(0.08);
    expect(share(({ topic }) => topic === 'limites')).toBeLessThan(0.15);
  });

  test('takes 320 tokens of phi-nano a chat at most, and 160 to 240 on average', () => {
    const json = (file: string) => JSON.parse(readFileSync(new URL(file, phiNano.folder), 'utf8'));
    const tokenizerJson = json('tokenizer.json');
    const special = { special: true, lstrip: false, rstrip: false, normalized: false };
    ['<|system|>', '<|user|>', '<|assistant|>', '<|end|>'].forEach((content, index) => {
      tokenizerJson.added_tokens.push({
        ...special,
        id: 8192 + index,
        content,
        single_word: false,
      });
    });
    const tokenizer = new Tokenizer(tokenizerJson, json('tokenizer_config.json'));
    const counts = rows.map(({ messages }) => {
      const chat = messages.map(({ role, content }) => `<|${role}|>\n${content}<|end|>\n`).join('');
      return tokenizer.encode(chat, { add_special_tokens: false }).ids.length;
    });
    const mean = counts.reduce((sum, count) => sum + count, 0) / counts.length;
    expect(Math.max(...counts)).toBeLessThanOrEqual(320);
    expect(mean).toBeGreaterThan(160);
    expect(mean).toBeLessThan(240);
  });
});

test('the quickstart questions are in no split, and their topics are in training', () => {
  expect(quickstartQuestions).toHaveLength(3);
  const asked = [...rows.flatMap(questionsOf), ...quickstartQuestions];
  for (const { a, b, share } of overlaps(asked, 1)) {
    if (b >= asked.length - 3) expect(share, `${asked[a]} / ${asked[b]}`).toBeLessThan(0.7);
  }
  const training = read('train').map((row) => answersOf(row)[0]!);
  for (const title of ['**Pila**', '**Búsqueda binaria**', '**BFS: recorrido en anchura**']) {
    expect(training.filter((answer) => answer.includes(title)).length).toBeGreaterThan(0);
  }
});

test('the format check tells an answer from text that lacks a part or mixes the order', () => {
  const answer = '📌 **Pila**\n\nUna.\n\n🔎 Analogía: dos.\n\n💡 Consejo: tres.';
  expect(hasTutorFormat(answer)).toBe(true);
  expect(hasTutorFormat(answer.replace('💡 Consejo', 'Consejo'))).toBe(false);
  expect(hasTutorFormat(answer.replace('📌 ', ''))).toBe(false);
  expect(hasTutorFormat(`${answer}\n\n🔎 Analogía: otra.`)).toBe(false);
  expect(hasTutorFormat(`${answer}\n\nY algo más.`)).toBe(false);
  expect(hasTutorFormat('📌 **Stack**\n\nOne.\n\n🔎 Analogy: two.\n\n💡 Tip: three.')).toBe(true);
  expect(hasTutorFormat(answer.replace('🔎 Analogía', '🔎 Analogy'))).toBe(false);
  expect(
    hasTutorFormat(`📌 **A**\n\n🪜 Pasos:\n1. x\n\n${answer.slice(answer.indexOf('🔎'))}`),
  ).toBe(false);
});
