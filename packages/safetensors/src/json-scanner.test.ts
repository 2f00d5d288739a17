import fc from 'fast-check';
import { expect, test } from 'vitest';
import { JsonScanner } from './json-scanner.js';

function scan<T>(text: string, read: (scanner: JsonScanner) => T): T {
  const scanner = new JsonScanner(text, (fault, problem) => {
    throw new Error(`${fault}: ${problem}`);
  });
  const value = read(scanner);
  scanner.end(/\s*$/y);
  return value;
}

test('strings read as JSON.parse reads them', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (text) => {
      const escaped = JSON.stringify(text).replace(
        /[\u0080-\uffff]/g,
        (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
      );
      expect(scan(JSON.stringify(text), (s) => s.string())).toBe(text);
      expect(scan(escaped, (s) => s.string())).toBe(text);
    }),
  );
  expect(scan('"\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041"', (s) => s.string())).toBe('"\\/\b\f\n\r\tA');
});

test('skip passes over any JSON, and only JSON', () => {
  fc.assert(
    fc.property(fc.json(), fc.nat(), (json, at) => {
      scan(` ${json} `, (s) => s.skip());
      const cut = json.slice(0, at % json.length);
      const broken = `${cut}${json.slice(cut.length + 1)}`;
      let valid = true;
      try {
        JSON.parse(broken);
      } catch {
        valid = false;
      }
      let problem = '';
      try {
        scan(broken, (s) => s.skip());
      } catch (error) {
        problem = String(error);
      }
      // A character less may leave sound JSON; ours then refuses only keys that became equal. In
      // broken JSON such keys may come before the place where it breaks.
      if (!valid) expect(problem).toMatch(/syntax|duplicate/);
      else expect(problem === '' || problem.includes('duplicate')).toBe(true);
    }),
    { numRuns: 500 },
  );
});

test.each([
  ['{"a":1,"b":2,"a":3}', 'duplicate: key "a" appears twice'],
  ['{"a":1,"\\u0061":3}', 'duplicate: key "a" appears twice'],
  ['{"__proto__":1,"__proto__":1}', 'duplicate: key "__proto__" appears twice'],
  ['{"a":{"b":[{"c":1,"c":1}]}}', 'duplicate: key "c" appears twice'],
  ['{"a":1,}', 'syntax: expected a key at character 7, found "}"'],
  ['{"a" 1}', 'syntax: expected ":" at character 5, found "1"'],
  ['{"a":1 "b":2}', 'syntax: expected "," or "}" at character 7, found "\\""'],
  ['[1,]', 'syntax: expected a value at character 3, found "]"'],
  ['[1}', 'syntax: expected "," or "]" at character 2, found "}"'],
  ['"ab', 'syntax: expected the end of a string at character 3, found the end'],
  ['"a\nb"', 'syntax: expected the end of a string at character 2, found "\\n"'],
  ['"\\ud83d"', 'syntax: half a surrogate pair in the string at character 0'],
  ['"\\ud83d\\u0041"', 'syntax: half a surrogate pair in the string at character 0'],
  ['"\\ude00\\ud83d"', 'syntax: half a surrogate pair in the string at character 0'],
  ['"\\u00g0"', 'syntax: expected an escape of four hex digits at character 1, found "\\\\"'],
  ['"\\', 'syntax: expected a JSON escape at character 1, found "\\\\"'],
  ['nul', 'syntax: expected a value at character 0, found "n"'],
  ['nullx', 'syntax: expected a value at character 0, found "n"'],
  ['01', 'syntax: expected a value at character 0, found "0"'],
  ['1.', 'syntax: expected a value at character 0, found "1"'],
  ['{} x', 'syntax: expected the end of the JSON at character 2, found " "'],
  [`${'['.repeat(100)}`, 'syntax: nested deeper than 64 levels'],
])('refuses %s', (text, problem) => {
  expect(() => scan(text, (s) => s.skip())).toThrow(problem);
});

test.each([
  ['0', 0],
  ['9007199254740991', Number.MAX_SAFE_INTEGER],
  [' 12 ', 12],
])('reads the integer %s', (text, value) => {
  expect(scan(text, (s) => s.integer())).toBe(value);
});

test.each([
  ['-1', 'syntax: expected a whole number of 0 or more at character 0, found "-"'],
  ['01', 'syntax: expected a number without leading zeros at character 0, found "0"'],
  ['1.0', 'syntax: expected a whole number at character 1, found "."'],
  ['1e0', 'syntax: expected a whole number at character 1, found "e"'],
  ['', 'syntax: expected a whole number of 0 or more at character 0, found the end'],
  ['9007199254740992', 'overflow: the number at character 0 is above 2^53 - 1'],
  ['9'.repeat(100_000), 'overflow: the number at character 0 is above 2^53 - 1'],
])('refuses the integer %s', (text, problem) => {
  expect(() => scan(text, (s) => s.integer())).toThrow(problem);
});
