import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { sampleToken } from './index.js';
import { processLogits } from './logits-processor.js';

const LOGITS = Float32Array.of(1, 3, 2, 2.5, 9);

/** How often each id is drawn. */
function frequencies(
  options: Parameters<typeof sampleToken>[4],
  limit = 5,
  draws = 4000,
): number[] {
  const counts = new Array<number>(LOGITS.length).fill(0);
  for (let draw = 0; draw < draws; draw++)
    counts[sampleToken(LOGITS, [], limit, draw, options).id] += 1 / draws;
  return counts;
}

describe('sampleToken', () => {
  test('is greedy by default and never chooses an id from the limit on', () => {
    expect(sampleToken(LOGITS, [], 5, 0).id).toBe(4);
    expect(sampleToken(LOGITS, [], 4, 0).id).toBe(1);
    expect(frequencies({ temperature: 2 }, 4)[4]).toBe(0);
  });

  test('gives the log-probability under the model', () => {
    const total = LOGITS.reduce((sum, value) => sum + Math.exp(value), 0);
    const { logprob } = sampleToken(LOGITS, [], 4, 0, { repetitionPenalty: 1.3 });
    expect(logprob).toBeCloseTo(3 - Math.log(total), 5);
  });

  test('draws with the probabilities of the tempered softmax', () => {
    const weights = [...LOGITS.slice(0, 4)].map((value) => Math.exp(value / 2));
    const total = weights.reduce((a, b) => a + b);
    frequencies({ temperature: 2, seed: 9 }, 4)
      .slice(0, 4)
      .forEach((share, i) => {
        expect(Math.abs(share - weights[i] / total)).toBeLessThan(0.03);
      });
  });

  test('top-k and top-p keep what transformers keeps', () => {
    const kept = (options: Parameters<typeof sampleToken>[4]) =>
      frequencies({ temperature: 1, ...options }, 4).flatMap((share, id) =>
        share > 0 ? [id] : [],
      );
    expect(kept({ topK: 2 })).toEqual([1, 3]);
    // Probabilities 0.0735, 0.543, 0.2, 0.329 of [1, 3, 2, 2.5] normalized: 0.067 0.498 0.183 0.302.
    expect(kept({ topP: 0.4 })).toEqual([1]);
    expect(kept({ topP: 0.7 })).toEqual([1, 3]);
    expect(kept({ topP: 0.85 })).toEqual([1, 2, 3]);
  });

  test('the nucleus is that of its definition, for scores near and far apart', () => {
    const scores = fc
      .tuple(
        fc.integer({ min: 0, max: 60 }),
        fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1, maxLength: 80 }),
      )
      .map(([spread, values]) => Float32Array.from(values, (value) => value * spread));
    fc.assert(
      fc.property(scores, fc.double({ min: 0.05, max: 0.999, noNaN: true }), (logits, topP) => {
        const result = processLogits(logits, [], logits.length, { temperature: 1, topP });
        const weights = Array.from(logits, (value) => Math.exp(value - Math.max(...logits)));
        const total = weights.reduce((a, b) => a + b);
        logits.forEach((score, i) => {
          if (score === Math.max(...logits)) {
            expect(result[i]).toBe(score);
            return;
          }
          // transformers: out goes what, with everything no likelier, has at most 1 - p.
          const below = weights.filter((_, j) => logits[j] <= score).reduce((a, b) => a + b);
          const margin = below / total - (1 - topP);
          const ties = logits.filter((other) => other === score).length;
          if (Math.abs(margin) > 1e-9 && ties === 1) expect(result[i] === score).toBe(margin > 0);
        });
      }),
    );
  });

  test('the repetition penalty divides positive and multiplies negative logits, once a token', () => {
    const penalized = sampleToken(LOGITS, [4, 4, 4], 5, 0, { repetitionPenalty: 2 });
    expect(penalized.id).toBe(4);
    expect(sampleToken(LOGITS, [4], 5, 0, { repetitionPenalty: 4 }).id).toBe(1);
    const negative = Float32Array.of(-1, -1.5);
    expect(sampleToken(negative, [0], 2, 0, { repetitionPenalty: 2 }).id).toBe(1);
  });

  test('the same seed and draw give the same token, another seed another sequence', () => {
    const sequence = (seed: number) =>
      Array.from(
        { length: 30 },
        (_, i) => sampleToken(LOGITS, [], 4, i, { temperature: 2, seed }).id,
      );
    expect(sequence(1)).toEqual(sequence(1));
    expect(sequence(1)).not.toEqual(sequence(2));
  });
});
