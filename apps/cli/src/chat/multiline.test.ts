import { expect, test } from 'vitest';
import { Multiline } from './multiline.js';

function texts(lines: readonly string[]): (string | null)[] {
  const multiline = new Multiline();
  return lines.map((line) => multiline.push(line));
}

test('a line is a text', () => {
  expect(texts(['hola', ' ¿qué tal? '])).toEqual(['hola', '¿qué tal?']);
});

test('a backslash goes on in the next line', () => {
  expect(texts(['uno\\', 'dos\\', 'tres', 'cuatro'])).toEqual([
    null,
    null,
    'uno\ndos\ntres',
    'cuatro',
  ]);
});

test('between two fences everything stays', () => {
  expect(texts(['"""', 'def f():', '    return 1\\', '', '"""', 'x'])).toEqual([
    ...[null, null, null, null],
    'def f():\n    return 1\\',
    'x',
  ]);
});
