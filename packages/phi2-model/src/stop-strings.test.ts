import fc from 'fast-check';
import { expect, test } from 'vitest';
import { StopStrings } from './index.js';

test('whatever the pieces, the text before the first stop text comes out, and nothing of it', () => {
  const text = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 30 });
  const stops = fc.array(
    fc.string({ unit: fc.constantFrom('a', 'b'), minLength: 1, maxLength: 4 }),
    {
      maxLength: 3,
    },
  );
  fc.assert(
    fc.property(text, stops, fc.array(fc.nat(5)), (whole, texts, sizes) => {
      const stop = new StopStrings(texts);
      let [out, at] = ['', 0];
      for (const size of [...sizes, whole.length]) {
        out += stop.push(whole.slice(at, at + size));
        at += size;
      }
      out += stop.flush();
      const places = texts.map((each) => whole.indexOf(each)).filter((place) => place >= 0);
      const end = places.length === 0 ? whole.length : Math.min(...places);
      expect(out).toBe(whole.slice(0, end));
      expect(stop.found === null).toBe(places.length === 0);
    }),
  );
});
