import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { phiNanoFiles } from '../test/phi-nano.js';
import { loadTokenizer } from './index.js';

const files = phiNanoFiles();
const tokenizer = loadTokenizer(files);
const text = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({ unit: 'grapheme' }),
  fc.string({ unit: fc.constantFrom(' ', '\n', 'a', "'s", '<|endoftext|>', 'ñ', '🥞', '\ufeff') }),
);

describe('encode and decode', () => {
  test('decode(encode(x)) is x', () => {
    fc.assert(fc.property(text, (x) => tokenizer.decode(tokenizer.encode(x).ids) === x));
  });

  test('offsets cover the text without gaps, and characters whole', () => {
    fc.assert(
      fc.property(text, (x) => {
        const { ids, offsets } = tokenizer.encode(x);
        expect(offsets).toHaveLength(ids.length);
        let reached = 0;
        for (const [start, end] of offsets) {
          expect(start).toBeLessThanOrEqual(reached);
          expect(end).toBeGreaterThanOrEqual(reached);
          expect(/^\p{Surrogate}|\p{Surrogate}$/u.test(x.slice(start, end))).toBe(false);
          reached = end;
        }
        expect(reached).toBe(x.length);
      }),
    );
  });

  test('a token that is part of a character covers the character', () => {
    const { ids, offsets } = tokenizer.encode('a🥞b');
    expect(ids.length).toBeGreaterThan(3);
    expect(offsets[0]).toEqual([0, 1]);
    expect(new Set(offsets.slice(1, -1).map(String))).toEqual(new Set(['1,3']));
    expect(offsets.at(-1)).toEqual([3, 4]);
  });

  test('a token that ends one character and starts another covers both', () => {
    // Bytes of "éé" in other hands: the second byte of one and the first of the next.
    const merged = structuredClone(JSON.parse(files.tokenizerJson)) as {
      model: { vocab: Record<string, number>; merges: [string, string][] };
      added_tokens: { id: number }[];
    };
    merged.model.vocab['©Ã'] = 9000;
    merged.model.merges = [['©', 'Ã']];
    const odd = loadTokenizer({ tokenizerJson: JSON.stringify(merged) });
    expect(odd.encode('éé😀').offsets).toEqual([[0, 1], [0, 2], [1, 2], ...Array(4).fill([2, 4])]);
  });

  test('lone surrogates are U+FFFD, in place', () => {
    const { ids, offsets } = tokenizer.encode('a\ud800b\udc00');
    expect(tokenizer.decode(ids)).toBe('a\ufffdb\ufffd');
    expect(offsets.at(-1)![1]).toBe(4);
  });

  test('nothing gives nothing, and a byte order mark is kept', () => {
    expect(tokenizer.encode('')).toEqual({ ids: [], offsets: [] });
    expect(tokenizer.decode([])).toBe('');
    expect(tokenizer.decode(tokenizer.encode('\ufeffa').ids)).toBe('\ufeffa');
  });

  test('special tokens are found in the text and left out on demand; unknown ids give nothing', () => {
    const { ids } = tokenizer.encode('Hola<|endoftext|>');
    expect(ids.at(-1)).toBe(8191);
    expect(tokenizer.decode([...ids, 8200, -1, 1e9])).toBe('Hola<|endoftext|>');
    expect(tokenizer.decode(Int32Array.from(ids), { skipSpecialTokens: true })).toBe('Hola');
  });

  test('a long run takes linear space and reasonable time', () => {
    for (const unit of ['a', ' ', '\n', 'ab', '🥞']) {
      const long = unit.repeat(20_000);
      expect(tokenizer.decode(tokenizer.encode(long).ids)).toBe(long);
    }
  });
});

describe('the stream decoder', () => {
  test('holds back unfinished characters, and joins to what decode gives', () => {
    const ids = fc.array(fc.integer({ min: 0, max: 8260 }), { maxLength: 30 });
    fc.assert(
      fc.property(ids, fc.boolean(), (all, skipSpecialTokens) => {
        const stream = tokenizer.streamDecoder({ skipSpecialTokens });
        const joined = all.map((id) => stream.push(id)).join('') + stream.flush();
        expect(joined).toBe(tokenizer.decode(all, { skipSpecialTokens }));
      }),
    );
    fc.assert(
      fc.property(text, (x) => {
        const stream = tokenizer.streamDecoder();
        const pieces = tokenizer.encode(x).ids.map((id) => stream.push(id));
        expect(pieces.join('')).toBe(x);
        expect(stream.flush()).toBe('');
      }),
    );
  });

  test('flushes what never became a character', () => {
    const stream = tokenizer.streamDecoder();
    const [first] = tokenizer.encode('🥞').ids;
    expect(stream.push(first!)).toBe('');
    expect(stream.flush()).toBe('\ufffd');
    expect(stream.push(tokenizer.encode('a').ids[0]!)).toBe('a');
  });
});

describe('addTokens', () => {
  test('takes the first spare ids and leaves the original alone', () => {
    const extended = tokenizer.addTokens(['<|user|>', '<|end|>', '<|user|>'], { limit: 8256 });
    expect(extended.size).toBe(8194);
    expect(extended.encode('<|user|>Hola<|end|>').ids).toEqual([
      8192,
      ...tokenizer.encode('Hola').ids,
      8193,
    ]);
    expect(extended.decode([8193, 8192])).toBe('<|end|><|user|>');
    expect(tokenizer.idOf('<|user|>')).toBeUndefined();
    expect(extended.tokenOf(8193)).toBe('<|end|>');
  });

  test('tokens that exist keep their ids', () => {
    const again = tokenizer.addTokens(['<|endoftext|>', 'Ġde'], { limit: 8256 });
    expect(again.size).toBe(tokenizer.size);
    expect(again.encode('<|endoftext|>').ids).toEqual([8191]);
    expect(again.idOf('Ġde')).toBe(tokenizer.idOf('Ġde'));
  });

  test('an added token is text, also in characters that stand for bytes', () => {
    const extended = tokenizer.addTokens(['<|ñ|>'], { limit: 8256 });
    expect(extended.decode(extended.encode('a<|ñ|>b').ids)).toBe('a<|ñ|>b');
  });

  test('too few spare ids, or an empty token, is an error', () => {
    expect(() => tokenizer.addTokens(['<|a|>', '<|b|>'], { limit: 8193 })).toThrow(
      expect.objectContaining({
        code: 'TOKENIZER_NO_SPARE_IDS',
        details: { token: '<|b|>', id: 8193, limit: 8193 },
      }),
    );
    expect(() => tokenizer.addTokens([''], { limit: 9000 })).toThrow('empty');
  });
});
