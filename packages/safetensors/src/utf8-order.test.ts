import fc from 'fast-check';
import { expect, test } from 'vitest';
import { compareUtf8, hasLoneSurrogate } from './utf8-order.js';

test('orders as the UTF-8 bytes do', () => {
  // Few characters, so that long common prefixes and both ends of the surrogates come up.
  const unit = fc.constantFrom(
    '',
    'a',
    'b',
    '\u00e9',
    '\ud7ff',
    '\ue000',
    '\uffff',
    '\u{10000}',
    '\u{10ffff}',
  );
  const text = fc.array(unit, { maxLength: 5 }).map((units) => units.join(''));
  fc.assert(
    fc.property(text, text, (a, b) => {
      expect(Math.sign(compareUtf8(a, b))).toBe(Buffer.compare(Buffer.from(a), Buffer.from(b)));
    }),
    { numRuns: 2000 },
  );
});

test('knows halves of surrogate pairs', () => {
  expect(['a', '\u{1f600}', '\ud83d', '\ude00\ud83d', 'x\ude00'].map(hasLoneSurrogate)).toEqual([
    false,
    false,
    true,
    true,
    true,
  ]);
});
