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

test('a pattern that JavaScript cannot read is refused', () => {
  const config = defaultLoraConfig({ targetModules: '(?<!q)(proj' });
  expect(() => matchTargets(config, modules)).toThrowError(
    expect.objectContaining({ code: 'LORA_PATTERN' }),
  );
});

test('patterns are tried in sorted order, the order they have after a reload', () => {
  const config = defaultLoraConfig({ rankPattern: { q_proj: 2, '.*q_proj': 4 } });
  expect(rankAndScaling(config, 'model.layers.0.self_attn.q_proj').rank).toBe(4);
});
