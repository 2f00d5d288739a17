import { describe, expect, test } from 'vitest';
import {
  defaultLoraConfig,
  matchTargets,
  parsePeftConfig,
  rankAndScaling,
  unmatchedTargets,
} from '../src/index.js';
import { fixtureText } from './fixture-folder.js';

interface TargetCases {
  readonly modules: readonly [string, number, number][];
  readonly cases: readonly {
    readonly config: Record<string, unknown>;
    readonly targets: readonly [string, number, number][];
  }[];
}

const { modules: rows, cases } = JSON.parse(fixtureText('targets.json')) as TargetCases;
const modules = rows.map(([name, inFeatures, outFeatures]) => ({ name, inFeatures, outFeatures }));

describe('what PEFT wraps, with its rank and scaling', () => {
  test.each(cases.map((each) => [JSON.stringify(each.config), each] as const))('%s', (_, each) => {
    const text = JSON.stringify({ peft_type: 'LORA', r: 8, lora_alpha: 16, ...each.config });
    const { config } = parsePeftConfig(text);
    if (each.targets.length === 0) {
      expect(() => matchTargets(config, modules)).toThrowError(/match no linear layer.*q_proj/);
      return;
    }
    const actual = matchTargets(config, modules).map(({ name }) => {
      const { rank, scaling } = rankAndScaling(config, name);
      return [name, rank, scaling];
    });
    expect(actual).toEqual(each.targets);
  });
});

test('an entry that matches nothing is reported', () => {
  const config = defaultLoraConfig({ targetModules: ['q_proj', 'k_porj'] });
  expect(unmatchedTargets(config, modules)).toEqual(['k_porj']);
});

test.each(['(?<!q)(proj', '(?!.*lm_head).*', '(.)\\1'])(
  'the pattern %s, which no linear-time engine reads, is refused',
  (targetModules) => {
    expect(() => matchTargets(defaultLoraConfig({ targetModules }), modules)).toThrowError(
      expect.objectContaining({ code: 'LORA_PATTERN' }),
    );
  },
);

test('patterns that make a backtracking engine run for ever match nothing, at once', () => {
  // JavaScript's own engine needs 2^40 steps and more for each of them.
  const name = `model.layers.${'0'.repeat(40)}.self_attn.q_proj`;
  for (const targetModules of ['(\\w+\\.?)+!', '(.|.|.)*!', '((a?)*.?)*!'])
    expect(() =>
      matchTargets(defaultLoraConfig({ targetModules }), [{ name, inFeatures: 8, outFeatures: 8 }]),
    ).toThrowError(/match no linear layer/);
  const rankPattern = { '(\\w+\\.?)+!': 4 };
  expect(rankAndScaling(defaultLoraConfig({ r: 2, rankPattern }), name).rank).toBe(2);
});

test('patterns are tried in sorted order, the order they have after a reload', () => {
  const config = defaultLoraConfig({ rankPattern: { q_proj: 2, '.*q_proj': 4 } });
  expect(rankAndScaling(config, 'model.layers.0.self_attn.q_proj').rank).toBe(4);
});
