import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { loadTokenizer } from '../src/index.js';
import { buildPhi2TokenizerJson, PHI_2_TOKENIZER_CONFIG } from './phi-2.js';

interface Vector {
  readonly text: string;
  readonly ids: number[];
  readonly decoded: string;
}

const { count, vectors } = JSON.parse(
  readFileSync(new URL('../fixtures/phi-2-tokenizer-vectors.json', import.meta.url), 'utf8'),
) as { count: number; vectors: Vector[] };
const tokenizer = loadTokenizer({
  tokenizerJson: buildPhi2TokenizerJson(),
  tokenizerConfig: PHI_2_TOKENIZER_CONFIG,
});

describe("Phi-2's tokenizer", () => {
  test('has 50,295 entries, the last of them two tabs', () => {
    expect(tokenizer.size).toBe(50295);
    expect(tokenizer.tokenOf(50294)).toBe('\t\t');
    expect(tokenizer.tokenOf(50257)).toBe(' '.repeat(31));
    expect(tokenizer.idOf('Ġthe')).toBe(262);
    expect(tokenizer).toMatchObject({ eosToken: '<|endoftext|>', eosId: 50256, padId: 50256 });
  });

  test.each(vectors.map((vector) => [vector.text, vector] as const))('%j', (text, vector) => {
    expect(tokenizer.encode(text).ids).toEqual(vector.ids);
    expect(tokenizer.decode(vector.ids)).toBe(vector.decoded);
  });

  test('the vectors are all there', () => expect(vectors).toHaveLength(count));

  test('the four chat markers take the first spare ids', () => {
    const markers = ['<|system|>', '<|user|>', '<|assistant|>', '<|end|>'];
    const extended = tokenizer.addTokens(markers, { limit: 51200 });
    expect(extended.encode('<|user|>\nHi<|end|>').ids).toEqual([50296, 198, 17250, 50298]);
    expect(tokenizer.encode('<|user|>').ids.length).toBeGreaterThan(1);
  });
});
