import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { buildPhi2TokenizerJson, PHI_2_TOKENIZER_CONFIG } from '../test/phi-2.js';
import { phiNanoFiles } from '../test/phi-nano.js';
import { loadTokenizer, type Tokenizer } from './index.js';

const MARKERS = ['<|system|>', '<|user|>', '<|assistant|>', '<|end|>'];
const { sha256 } = JSON.parse(
  readFileSync(new URL('../fixtures/phi-nano-files.json', import.meta.url), 'utf8'),
) as { sha256: Record<string, string> };

const nano = loadTokenizer(phiNanoFiles()).addTokens(MARKERS, { limit: 8256 });
const phi2 = loadTokenizer({
  tokenizerJson: buildPhi2TokenizerJson(),
  tokenizerConfig: PHI_2_TOKENIZER_CONFIG,
}).addTokens(MARKERS, { limit: 51200 });

function parsed(tokenizer: Tokenizer, file: string): Record<string, unknown> {
  return JSON.parse(tokenizer.files()[file]!) as Record<string, unknown>;
}

describe('files', () => {
  test.each(Object.entries(sha256))(
    '%s is what transformers saves, byte for byte',
    (file, hash) => {
      expect(createHash('sha256').update(nano.files()[file]!).digest('hex')).toBe(hash);
    },
  );

  test('load again to the same tokenizer', () => {
    for (const tokenizer of [nano, phi2]) {
      const files = tokenizer.files({ chatTemplate: '{{ messages }}', modelMaxLength: 777 });
      const again = loadTokenizer({
        tokenizerJson: files['tokenizer.json']!,
        tokenizerConfig: files['tokenizer_config.json']!,
      });
      const text = '<|user|>\n\tdef f(x):\n        return  x<|end|><|endoftext|>';
      expect(again.encode(text)).toEqual(tokenizer.encode(text));
      expect(again.size).toBe(tokenizer.size);
      expect(again.chatTemplate).toBe('{{ messages }}');
      expect(files['chat_template.jinja']).toBe('{{ messages }}');
      expect(again.files()).toEqual(files);
    }
  });

  test('added_tokens.json has what vocab.json has not', () => {
    expect(parsed(nano, 'added_tokens.json')).toEqual({
      '<|endoftext|>': 8191,
      '<|system|>': 8192,
      '<|user|>': 8193,
      '<|assistant|>': 8194,
      '<|end|>': 8195,
    });
    const added = parsed(phi2, 'added_tokens.json');
    expect(Object.keys(added)).toHaveLength(42);
    expect(Object.keys(added)[0]).toBe('\t'.repeat(2));
    expect(added['<|end|>']).toBe(50298);
    expect(parsed(phi2, 'vocab.json')['<|endoftext|>']).toBe(50256);
  });

  test('tokenizer_config.json describes the special tokens and a class that loads everywhere', () => {
    const config = parsed(phi2, 'tokenizer_config.json');
    expect(config).toMatchObject({
      tokenizer_class: 'CodeGenTokenizer',
      eos_token: '<|endoftext|>',
      model_max_length: 2048,
      additional_special_tokens: MARKERS,
    });
    const flags = { lstrip: false, rstrip: false, single_word: false };
    expect(config.added_tokens_decoder).toMatchObject({
      50256: { content: '<|endoftext|>', special: true, normalized: false, ...flags },
      50294: { content: '\t\t', special: false, normalized: true, ...flags },
      50298: { content: '<|end|>', special: true, normalized: false, ...flags },
    });
    expect(parsed(nano, 'tokenizer_config.json')).toMatchObject({
      tokenizer_class: 'PreTrainedTokenizerFast',
    });
    expect(parsed(nano, 'tokenizer_config.json')).not.toHaveProperty('backend');
    expect(parsed(nano, 'special_tokens_map.json').eos_token).toEqual({
      content: '<|endoftext|>',
      normalized: false,
      ...flags,
    });
  });

  test('special tokens that transformers 5 lists are written under the name that all versions know', () => {
    const files = nano.files();
    const { additional_special_tokens: list, ...config } = parsed(nano, 'tokenizer_config.json');
    const again = loadTokenizer({
      tokenizerJson: files['tokenizer.json']!,
      tokenizerConfig: JSON.stringify({ ...config, extra_special_tokens: list }),
    });
    expect(again.files()).toEqual(files);
    const named = loadTokenizer({
      tokenizerJson: files['tokenizer.json']!,
      tokenizerConfig: JSON.stringify({ ...config, extra_special_tokens: { image_token: '!' } }),
    });
    expect(parsed(named, 'tokenizer_config.json').extra_special_tokens).toEqual({
      image_token: '!',
    });
  });

  test('without a template there is no chat_template.jinja', () => {
    expect(nano.files()).not.toHaveProperty('chat_template.jinja');
    expect(parsed(nano, 'tokenizer_config.json')).not.toHaveProperty('chat_template');
  });
});
