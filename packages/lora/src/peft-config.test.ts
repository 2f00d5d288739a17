import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { defaultLoraConfig, formatPeftConfig, parsePeftConfig } from './index.js';
import { PythonFloat, pythonJson } from './python-json.js';

const parse = (entries: Record<string, unknown>) =>
  parsePeftConfig(JSON.stringify({ peft_type: 'LORA', ...entries }), 'here/adapter_config.json');

test('only peft_type is required; the rest are the defaults of PEFT', () => {
  expect(parse({})).toEqual({
    warnings: [],
    config: {
      taskType: null,
      peftVersion: null,
      baseModelNameOrPath: null,
      revision: null,
      r: 8,
      loraAlpha: 8,
      loraDropout: 0,
      targetModules: ['q_proj', 'v_proj', 'fc1', 'fc2'],
      excludeModules: null,
      useRslora: false,
      useDora: false,
      modulesToSave: null,
      bias: 'none',
      initLoraWeights: true,
      layersToTransform: null,
      layersPattern: null,
      rankPattern: {},
      alphaPattern: {},
      trainableTokenIndices: null,
      ensureWeightTying: false,
      inert: {},
    },
  });
});

test('keys that PEFT does not know are dropped and named', () => {
  const { config, warnings } = parse({ r: 4, from_the_future: 1, runtime_config: {} });
  expect(warnings).toEqual(['from_the_future']);
  expect(formatPeftConfig(config)).not.toMatch(/from_the_future|runtime_config/);
});

describe('what changes the maths is refused', () => {
  test.each([
    ['lora_bias', true],
    ['fan_in_fan_out', true],
    ['layer_replication', [[0, 2]]],
    ['target_parameters', ['mlp.experts']],
    ['alora_invocation_tokens', [1]],
    ['use_qalora', true],
    ['arrow_config', { top_k: 1 }],
    ['bias', 'all'],
    ['bias', 'lora_only'],
    ['megatron_config', { a: 1 }],
    ['monteclora_config', { num_samples: 8 }],
    ['kasa_config', { beta: 1 }],
    ['velora_config', { num_groups: 1 }],
    ['use_bdlora', { nblocks: 2 }],
    ['init_lora_weights', 'pissa'],
  ])('%s: %j', (key, value) => {
    expect(() => parse({ [key]: value })).toThrowError(
      expect.objectContaining({
        code: 'LORA_UNSUPPORTED',
        details: expect.objectContaining({ keys: [key] }),
      }),
    );
  });

  test('with all offending keys in one message', () => {
    expect(() => parse({ lora_bias: true, bias: 'all' })).toThrowError(
      /lora_bias=true, bias="all"/,
    );
  });

  test('but their off values are not', () => {
    expect(parse({ modules_to_save: [], use_dora: false, arrow_config: null }).config.r).toBe(8);
  });
});

describe('wrong values are refused', () => {
  test.each([
    ['{', /not JSON/],
    ['[]', /JSON object/],
    ['{"r": 4}', /peft_type must be "LORA", got undefined/],
    ['{"peft_type": "IA3"}', /got "IA3"/],
    ['{"peft_type": "LORA", "r": 0, "lora_dropout": 1}', /here: r: .*; lora_dropout: /],
    ['{"peft_type": "LORA", "lora_alpha": "8"}', /lora_alpha: /],
    ['{"peft_type": "LORA", "rank_pattern": {"fc1": 0.5}}', /rank_pattern.fc1: /],
    [
      '{"peft_type": "LORA", "target_modules": "fc1", "layers_to_transform": 1}',
      /layers_to_transform: works only/,
    ],
    [
      '{"peft_type": "LORA", "target_modules": ["fc1"], "layers_pattern": "h"}',
      /layers_pattern: needs/,
    ],
    [
      '{"peft_type": "LORA", "trainable_token_indices": {"embed_tokens": [3, 3]}}',
      /trainable_token_indices/,
    ],
    ['{"peft_type": "LORA", "trainable_token_indices": [-1]}', /trainable_token_indices/],
  ])('%s', (text, message) => {
    expect(() => parsePeftConfig(text, 'here')).toThrowError(
      expect.objectContaining({ code: 'LORA_CONFIG', message: expect.stringMatching(message) }),
    );
  });

  test('also in code, by the names in code', () => {
    expect(() => defaultLoraConfig({ loraDropout: 2 })).toThrowError(/LoraConfig: loraDropout: /);
  });
});

test('writing and reading a configuration gives the same one', () => {
  const names = fc.uniqueArray(fc.stringMatching(/^[a-zé_0-9]+$/), { minLength: 1, maxLength: 4 });
  const configs = fc.record({
    r: fc.integer({ min: 1, max: 256 }),
    loraAlpha: fc.oneof(
      fc.integer({ min: 1, max: 512 }),
      fc.double({ min: 1e-9, max: 1e18, noNaN: true }),
    ),
    loraDropout: fc.double({ min: 0, max: 0.99, noNaN: true }),
    targetModules: names,
    excludeModules: fc.option(names, { nil: null }),
    useRslora: fc.boolean(),
    initLoraWeights: fc.constantFrom(true, false, 'gaussian' as const),
    baseModelNameOrPath: fc.option(fc.string({ unit: 'binary' }), { nil: null }),
    rankPattern: fc.dictionary(fc.stringMatching(/^[a-z.]+$/), fc.integer({ min: 1, max: 9 })),
    trainableTokenIndices: fc.constantFrom(null, [1, 2], { embed_tokens: [7], lm_head: [8, 3] }),
  });
  fc.assert(
    fc.property(configs, (partial) => {
      const config = defaultLoraConfig(partial);
      expect(parsePeftConfig(formatPeftConfig(config))).toEqual({
        config: { ...config, inert: expect.anything() },
        warnings: [],
      });
    }),
  );
});

test('writes numbers and strings as Python does', () => {
  // json.dumps([0.0, 0.05, 1e-05, 1.5e+16, 123456789.5, 3, "é\\x7f\\n"])
  const floats = [0, 0.05, 1e-5, 1.5e16, 123456789.5].map((value) => new PythonFloat(value));
  expect(pythonJson([...floats, 3, 'é\u007f\n', {}, []]).split(/,?\n\s*/)).toEqual([
    '[',
    '0.0',
    '0.05',
    '1e-05',
    '1.5e+16',
    '123456789.5',
    '3',
    '"\\u00e9\\u007f\\n"',
    '{}',
    '[]',
    ']',
  ]);
});
