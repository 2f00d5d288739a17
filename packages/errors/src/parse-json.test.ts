import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseJson } from './index.js';

test('any JSON comes back as JSON.parse gives it', () => {
  fc.assert(
    fc.property(fc.json(), (text) => {
      expect(parseJson(text)).toEqual(JSON.parse(text));
    }),
  );
});

test('brackets in strings do not count, and deep values are refused', () => {
  const brackets = JSON.stringify(`"${'[{'.repeat(1000)}\\`);
  expect(parseJson(brackets)).toBe(JSON.parse(brackets));
  const nested = (depth: number) => `${'[{"a":'.repeat(depth / 2)}1${'}]'.repeat(depth / 2)}`;
  expect(parseJson(nested(200))).toEqual(JSON.parse(nested(200)));
  for (const depth of [202, 400_000])
    expect(() => parseJson(nested(depth))).toThrowError('deeper than 200');
  expect(() => parseJson('{')).toThrowError(SyntaxError);
});

test('__proto__ is a key', () => {
  const value = parseJson('{"__proto__":{"polluted":true}}') as object;
  expect(Object.keys(value)).toEqual(['__proto__']);
  expect('polluted' in value).toBe(false);
});
