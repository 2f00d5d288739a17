import fc from 'fast-check';
import { expect, test } from 'vitest';
import { findJsonError } from './json-error.js';

test.each([
  ['{"a": 1', 7, 'too early'],
  ['{"a": 1,}', 8, 'comma before "}"'],
  ['[1, 2,]', 6, 'comma before "]"'],
  ["{'a': 1}", 1, 'single quotes'],
  ['{"a": \'b\'}', 6, 'single quotes'],
  ['{"a" 1}', 5, 'colon'],
  ['{"a": 1 "b": 2}', 8, 'comma or "}"'],
  ['{a: 1}', 1, 'key is due'],
  ['{"a": None}', 6, 'None is no JSON'],
  ['{"a": NaN}', 6, 'NaN is no JSON'],
  ['{"a": "tab\there"}', 10, 'raw tab'],
  ['{"😀": "x\u0001"}', 9, 'raw tab'],
  ['{"a": "C:\\dir"}', 9, 'write \\\\'],
  ['{"a": "\\u12"}', 7, 'escape'],
  ['{"a": "open}', 6, 'closing quote'],
  ['{"a": 1} {"b": 2}', 9, 'one row'],
  ['{"a": 01}', 7, 'comma or "}"'],
  ['{"a": }', 6, 'value is due'],
  ['[1 2]', 3, 'comma or "]"'],
])('%s', (text, index, reason) => {
  expect(() => JSON.parse(text)).toThrow();
  expect(findJsonError(text)).toEqual({ index, reason: expect.stringContaining(reason) });
});

test('finds nothing in JSON', () => {
  fc.assert(fc.property(fc.json(), (text) => findJsonError(text) === null));
  expect(findJsonError(' {"a":[{},[],-1.5e+3,"\\ud83d\\u00e9\\/",true,false,null]}\t')).toBeNull();
});

test('agrees with JSON.parse on damaged JSON', () => {
  const damaged = fc
    .tuple(
      fc.json({ maxDepth: 3 }),
      fc.nat(),
      fc.constantFrom('', ',', '"', '}', ']', '\\', 'x', '\n', '0'),
    )
    .map(([text, at, put]) => {
      const index = at % (text.length + 1);
      return text.slice(0, index) + put + text.slice(index + 1);
    });
  fc.assert(
    fc.property(damaged, (text) => {
      let valid = true;
      try {
        JSON.parse(text);
      } catch {
        valid = false;
      }
      expect(findJsonError(text) === null).toBe(valid);
    }),
    { numRuns: 1000 },
  );
});

test('does not overflow the stack on deep nesting', () => {
  expect(findJsonError('['.repeat(100_000))?.reason).toContain('nested too deep');
});
