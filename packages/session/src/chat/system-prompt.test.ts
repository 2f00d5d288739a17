import type { ChatRow } from '@qlorajs/dataset';
import { expect, test } from 'vitest';
import { commonSystemPrompt, withSystemPrompt } from './system-prompt.js';

const chat = (system: string | null, line: number): ChatRow => ({
  kind: 'chat',
  format: 'messages',
  line,
  messages: [
    ...(system === null ? [] : [{ role: 'system' as const, content: system }]),
    { role: 'user', content: 'hola' },
    { role: 'assistant', content: 'sí' },
  ],
});

test.each([
  [['a', 'a', 'b'], 'a'],
  [['a', 'b'], null],
  [['a', 'a', null, null, null], null],
  [[null], null],
])('%j: the message of more than half is %s', (systems, expected) => {
  expect(commonSystemPrompt(systems.map(chat))).toBe(expected);
});

test('it is a key of tokenizer_config.json, sorted in', () => {
  const files = { 'tokenizer_config.json': '{"add": 1, "eos": "x"}', 'vocab.json': '{}' };
  expect(withSystemPrompt(files, 'Hola')).toEqual({
    'tokenizer_config.json':
      '{\n  "add": 1,\n  "default_system_prompt": "Hola",\n  "eos": "x"\n}\n',
    'vocab.json': '{}',
  });
  expect(withSystemPrompt(files, null)).toEqual(files);
  expect(withSystemPrompt({}, 'Hola')).toEqual({});
});
