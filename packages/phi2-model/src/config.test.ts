import { describe, expect, test } from 'vitest';
import { checkTensors, parsePhiConfig, phiTensors } from './index.js';

const PHI2 = {
  model_type: 'phi',
  hidden_act: 'gelu_new',
  vocab_size: 51200,
  hidden_size: 2560,
  intermediate_size: 10240,
  num_hidden_layers: 32,
  num_attention_heads: 32,
  num_key_value_heads: 32,
  max_position_embeddings: 2048,
  partial_rotary_factor: 0.4,
  rope_theta: 10000,
  rope_scaling: null,
  resid_pdrop: 0.1,
  bos_token_id: 50256,
  eos_token_id: 50256,
};

describe('parsePhiConfig', () => {
  test('reads Phi-2 in the spelling of transformers 4 and 5', () => {
    const config = parsePhiConfig(PHI2);
    expect(config).toMatchObject({ headDim: 80, rotaryDim: 32, residualDropout: 0.1, layers: 32 });
    const { partial_rotary_factor, rope_theta, rope_scaling, ...rest } = PHI2;
    expect([partial_rotary_factor, rope_theta, rope_scaling]).toHaveLength(3);
    const renamed = {
      ...rest,
      rope_parameters: { partial_rotary_factor: 0.4, rope_theta: 10000, rope_type: 'default' },
    };
    expect(parsePhiConfig(renamed)).toEqual(config);
  });

  test.each([
    [{ model_type: 'llama' }, /model_type is "llama"/],
    [{ hidden_size: '2560' }, /hidden_size/],
    [{ num_hidden_layers: 0 }, /num_hidden_layers/],
    [{ hidden_act: 'relu' }, /hidden_act "relu"/],
    [{ num_key_value_heads: 8 }, /num_key_value_heads/],
    [{ tie_word_embeddings: true }, /tie_word_embeddings/],
    [{ rope_scaling: { type: 'linear' } }, /rope_scaling/],
    [{ qk_layernorm: true }, /qk_layernorm/],
    [{ num_attention_heads: 7, num_key_value_heads: 7 }, /heads that do not divide/],
  ])('refuses %j', (change, message) => {
    expect(() => parsePhiConfig({ ...PHI2, ...change })).toThrowError(message);
  });

  test('refuses what is not an object', () => {
    for (const value of [null, 3, 'phi', []]) expect(() => parsePhiConfig(value)).toThrowError();
  });
});

describe('checkTensors', () => {
  const config = parsePhiConfig({ ...PHI2, num_hidden_layers: 2 });
  const entries = () =>
    new Map([...phiTensors(config)].map(([name, shape]) => [name, { dtype: 'F16', shape }]));

  test('Phi-2 has 453 tensors of 2,779,683,840 parameters', () => {
    const tensors = [...phiTensors(parsePhiConfig(PHI2)).values()];
    expect(tensors).toHaveLength(453);
    const parameters = tensors.reduce((sum, shape) => sum + shape.reduce((a, b) => a * b), 0);
    expect(parameters).toBe(2_779_683_840);
  });

  test('lists every problem at once', () => {
    const broken = entries();
    broken.delete('lm_head.bias');
    broken.set('model.layers.1.mlp.fc1.weight', { dtype: 'F16', shape: [2560, 10240] });
    broken.set('model.layers.0.mlp.fc2.bias', { dtype: 'I8', shape: [2560] });
    broken.set('transformer.wte.weight', { dtype: 'F16', shape: [1] });
    expect(() => checkTensors(config, entries(), 'folder')).not.toThrow();
    expect(() => checkTensors(config, broken, 'folder')).toThrowError(
      /model\.layers\.0\.mlp\.fc2\.bias is I8.*model\.layers\.1\.mlp\.fc1\.weight is \[2560,10240\].*missing lm_head\.bias.*unknown transformer\.wte\.weight/s,
    );
  });

  test('takes the parts of a 4-bit weight and old rotary buffers', () => {
    const mixed = entries();
    const name = 'model.layers.0.mlp.fc1.weight';
    mixed.set(name, { dtype: 'U8', shape: [13_107_200, 1] });
    for (const part of ['absmax', 'quant_map', 'nested_absmax', 'quant_state.bitsandbytes__nf4'])
      mixed.set(`${name}.${part}`, { dtype: 'U8', shape: [1] });
    mixed.set('model.layers.0.self_attn.rotary_emb.inv_freq', { dtype: 'F32', shape: [16] });
    expect(() => checkTensors(config, mixed, 'folder')).not.toThrow();
  });
});
