import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  anyText,
  choice,
  flagOf,
  integer,
  modules,
  number,
  option,
  optional,
  patterns,
  required,
  text,
  texts,
  toggle,
  trainingOptions,
  withDefaults,
} from '@qlorajs/session';
import { expect, test } from 'vitest';
import { resolveOptions } from './resolve.js';

const table = {
  learning_rate: option(number(0), 2e-4, 'rate'),
  load_in_4bit: option(toggle, true, '4 bits'),
  adapter: optional(texts('DIR'), 'adapters'),
};

function configFile(content: string): string {
  const file = join(mkdtempSync(join(tmpdir(), 'qlora-test-')), 'run.yaml');
  writeFileSync(file, content);
  return file;
}

test('defaults, then the file, then flags', async () => {
  const file = configFile('learning_rate: 1e-3\nload-in-4bit: false\n');
  expect(await resolveOptions(table, new Map(), undefined)).toEqual({
    learningRate: 2e-4,
    loadIn4bit: true,
    adapter: undefined,
  });
  const flags = new Map<string, unknown>([['learning_rate', '5e-4']]);
  expect(await resolveOptions(table, flags, file)).toEqual({
    learningRate: 5e-4,
    loadIn4bit: false,
    adapter: undefined,
  });
});

test('JSON is read too, and null means left out', async () => {
  const file = configFile('{"learning_rate": null, "adapter": ["a", "b,c"]}');
  expect(await resolveOptions(table, new Map(), file)).toMatchObject({
    learningRate: 2e-4,
    adapter: ['a', 'b', 'c'],
  });
});

test.each([
  ['learning-rat: 1', 'CONFIG_KEY', 'learning_rate'],
  ['learning_rate: fast', 'OPTION_VALUE', 'learning_rate is "fast"'],
  ['- 1', 'CONFIG_SYNTAX', 'must hold options'],
  ['a: [', 'CONFIG_SYNTAX', 'run.yaml'],
])('%s is refused', async (content, code, message) => {
  const resolved = resolveOptions(table, new Map(), configFile(content));
  await expect(resolved).rejects.toMatchObject({ code, message: expect.stringContaining(message) });
});

test('a required option has no default', async () => {
  const needed = { base: required(text('DIR'), 'the base') };
  await expect(resolveOptions(needed, new Map(), undefined)).rejects.toMatchObject({
    code: 'OPTION_MISSING',
    message: expect.stringContaining('--base DIR'),
  });
});

test('flags are the options in kebab case', () => {
  expect(flagOf('bnb_4bit_use_double_quant')).toBe('--bnb-4bit-use-double-quant');
});

test('values of every type', () => {
  expect(integer(1).parse('7', 'x')).toBe(7);
  expect(number().parse('2e-4', 'x')).toBe(2e-4);
  expect(anyText('T').parse('', 'x')).toBe('');
  expect(modules.parse('q_proj, v_proj', 'x')).toEqual(['q_proj', 'v_proj']);
  expect(modules.parse('all-linear', 'x')).toBe('all-linear');
  expect(modules.parse('.*(fc1|fc2)', 'x')).toBe('.*(fc1|fc2)');
});

test.each([
  [integer(1), '0'],
  [integer(1), '1.5'],
  [integer(), ''],
  [number(0, 1), '1.1'],
  [number(), 'NaN'],
  [text('T'), ''],
  [texts('T'), 'a,,b'],
  [choice('a', 'b'), 'c'],
  [toggle, 'yes'],
])('%# %o is refused', (type, value) => {
  expect(() => type.parse(value, '--x')).toThrow(/^--x is .*; it must be /);
});

test("training defaults are transformers' and PEFT's but for what the README lists", () => {
  expect(withDefaults(trainingOptions, {})).toMatchObject({
    r: 16,
    loraAlpha: 32,
    loraDropout: 0.05,
    targetModules: ['q_proj', 'k_proj', 'v_proj', 'dense'],
    learningRate: 2e-4,
    numTrainEpochs: 3,
    maxSteps: -1,
    perDeviceTrainBatchSize: 4,
    maxGradNorm: 1,
    weightDecay: 0,
    adamBeta2: 0.999,
    seed: 42,
    gradientCheckpointing: true,
    loadIn4bit: true,
    bnb4bitUseDoubleQuant: true,
  });
});

test('patterns are pairs in a flag and a mapping in a file', () => {
  expect(patterns.parse('fc1=8,layers.0.self_attn.q_proj=32', 'rank_pattern')).toEqual({
    fc1: 8,
    'layers.0.self_attn.q_proj': 32,
  });
  expect(patterns.parse({ fc1: 8 }, 'rank_pattern')).toEqual({ fc1: 8 });
  for (const bad of ['fc1', 'fc1=0', '=3', 'fc1=x', ['fc1=8', 3]])
    expect(() => patterns.parse(bad, 'rank_pattern')).toThrowError(/rank_pattern is .*fc1=8,fc2=8/);
});
