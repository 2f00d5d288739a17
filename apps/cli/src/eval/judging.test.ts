import { describe, expect, test } from 'vitest';
import { formatParts, keepsFormat } from './format-score.js';
import { keywordRecall } from './keywords.js';
import { languageOf } from './language.js';
import { isDegenerate, repeatedRuns } from './repetition.js';

const good =
  '📌 **Pila**\n\nUna pila guarda los datos y saca el último que entró.\n\n💡 Consejo: dibuja la pila en un papel.';
const judge = (
  answer: string,
  more: { raw?: string; language?: string; reference?: string } = {},
) => formatParts({ raw: answer, reference: good, language: 'es', answer, ...more });

describe('the form of an answer', () => {
  test('holds, with and without the row saying its language', () => {
    const all = { structure: true, language_kept: true, role_kept: true, no_leakage: true };
    expect(judge(good)).toEqual(all);
    expect(keepsFormat(judge(good))).toBe(true);
    const { reference, raw, answer } = { reference: good, raw: good, answer: good };
    expect(formatParts({ reference, raw, answer, language: null })).toEqual(all);
  });

  test.each([
    ['structure', 'Una pila guarda los datos y saca el último que entró.', {}],
    [
      'language_kept',
      '📌 **Stack**\n\nA stack gives the last item that came in to you.\n\n💡 Tip: draw it on the page.',
      {},
    ],
    ['role_kept', good.replace('Una pila', 'Usuario: una pila'), {}],
    ['no_leakage', good.replace('Una pila', '<|user|> una pila'), {}],
    ['no_leakage', good, { raw: `${good}<|endoftext|>` }],
    ['role_kept', good, { raw: `${good}<|user|>` }],
  ])('loses its %s', (part, answer, more) => {
    const parts = judge(answer, more);
    expect(parts[part as keyof typeof parts]).toBe(false);
    expect(keepsFormat(parts)).toBe(false);
  });

  test('has no structure to keep where the reference has none', () => {
    const parts = judge('Saca el último que entró de la pila.', { reference: 'Una pila es así.' });
    expect(parts.structure).toBe(null);
    expect(keepsFormat(parts)).toBe(true);
  });
});

test('the language is told by function words, code aside', () => {
  expect(languageOf('La pila guarda los datos.')).toBe('es');
  expect(languageOf('The stack keeps the data in a list.')).toBe('en');
  expect(languageOf('```python\nfor x in the_list: print(x) if x is not None\n```')).toBe(null);
});

test('going round in circles is told from speaking', () => {
  expect(repeatedRuns(good)).toBe(0);
  expect(isDegenerate(good)).toBe(false);
  const loop = 'la pila es una pila que es una '.repeat(9);
  expect(repeatedRuns(loop)).toBeGreaterThan(0.8);
  expect(isDegenerate(loop)).toBe(true);
  expect(isDegenerate('1. saca el dato\n2. mira\n1. saca el dato\n3. va\n1. saca el dato')).toBe(
    true,
  );
});

test('keywords are beginnings of words without accents, of those that the reference uses', () => {
  const keywords = ['apil', 'cima', 'ultimo', 'cola'];
  const reference = 'Apilar deja el último en la cima.';
  expect(keywordRecall('El ULTIMO está en la cima.', reference, keywords)).toBe(2 / 3);
  expect(keywordRecall('x', 'nada', keywords)).toBe(null);
});
