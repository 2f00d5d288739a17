import { describe, expect, test } from 'vitest';
import { golden } from '../test/fixtures.js';
import { parseQuantizationConfig, toQuantizationConfig } from './quantization-config.js';

test('is what transformers writes, but for llm_int8_threshold', () => {
  const { llm_int8_threshold, ...written } = golden.quantizationConfig;
  expect(llm_int8_threshold).toBe(6);
  const ours = toQuantizationConfig();
  expect(ours).toEqual(written);
  expect(Object.keys(ours)).toEqual(Object.keys(ours).sort());
});

test.each([
  { doubleQuant: true, computeDtype: 'bfloat16', skipModules: null },
  { doubleQuant: false, computeDtype: 'float32', skipModules: ['lm_head', 'fc1'] },
] as const)('what is written reads back: $computeDtype', (config) => {
  expect(parseQuantizationConfig(JSON.parse(JSON.stringify(toQuantizationConfig(config))))).toEqual(
    config,
  );
});

test("reads transformers' own, and its defaults for what is left out", () => {
  expect(parseQuantizationConfig(golden.quantizationConfig)).toEqual({
    doubleQuant: true,
    computeDtype: 'bfloat16',
    skipModules: null,
  });
  expect(parseQuantizationConfig({ load_in_4bit: true, bnb_4bit_quant_type: 'nf4' })).toEqual({
    doubleQuant: false,
    computeDtype: 'float32',
    skipModules: null,
  });
});

describe('refuses other formats', () => {
  test.each([
    ['fp4', { load_in_4bit: true, bnb_4bit_quant_type: 'fp4' }, /"fp4"/],
    ['fp4 by default', { load_in_4bit: true }, /"fp4"/],
    ['int8', { load_in_8bit: true, quant_method: 'bitsandbytes' }, /load_in_8bit/],
    ['gptq', { quant_method: 'gptq', bits: 4 }, /"gptq"/],
    ['neither 4 nor 8 bits', { quant_method: 'bitsandbytes' }, /load_in_4bit/],
  ])('%s', (_, config, message) => {
    const read = () => parseQuantizationConfig(config);
    expect(read).toThrow(expect.objectContaining({ code: 'QUANTIZATION_UNSUPPORTED' }));
    expect(read).toThrow(message);
  });

  const nf4 = { load_in_4bit: true, bnb_4bit_quant_type: 'nf4' };
  test.each([
    ['a list', []],
    ['null', null],
    ['a flag that is a text', { load_in_4bit: 'yes' }],
    ['an unknown compute dtype', { ...nf4, bnb_4bit_compute_dtype: 'float64' }],
    ['modules that are numbers', { ...nf4, llm_int8_skip_modules: [1] }],
    ['double quantization that is a number', { ...nf4, bnb_4bit_use_double_quant: 1 }],
  ])('%s', (_, config) => {
    expect(() => parseQuantizationConfig(config)).toThrow(
      expect.objectContaining({ code: 'QUANTIZATION_CONFIG' }),
    );
  });
});
