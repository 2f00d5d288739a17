import fc from 'fast-check';
import { expect, test } from 'vitest';
import { columns, wrap } from './columns.js';

test('texts stand side by side', () => {
  const texts = [
    { title: 'sql', text: 'uno dos tres cuatro' },
    { title: 'cuentos', text: 'corto' },
  ];
  expect(columns(texts, 23)).toBe(
    [
      'sql        │ cuentos',
      '────────── │ ──────────',
      'uno dos    │ corto',
      'tres       │',
      'cuatro     │',
    ].join('\n'),
  );
});

test('no line is wider, and nothing is lost', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 80 }), fc.integer({ min: 1, max: 20 }), (text, width) => {
      const lines = wrap(text, width);
      for (const line of lines) expect(line.length).toBeLessThanOrEqual(width);
      expect(lines.join('').replace(/\s/g, '')).toBe(text.replace(/\s/g, ''));
    }),
  );
});
