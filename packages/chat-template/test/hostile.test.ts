import { afterEach, describe, expect, test, vi } from 'vitest';
import { compileChatTemplate, TUTOR_CHAT_TEMPLATE } from '../src/index.js';

const messages = [{ role: 'user', content: 'Hi' }];

function codeOf(source: string): unknown {
  try {
    compileChatTemplate(source).render(messages);
  } catch (error) {
    return (error as { code?: string }).code;
  }
  return 'rendered';
}

afterEach(() => vi.restoreAllMocks());

describe('a template that nobody vouches for is stopped', () => {
  const grow = (by: string) =>
    `{% set n = namespace(x=${by}) %}{% for i in range(60) %}{% set n.x = n.x + n.x %}{% endfor %}`;
  test.each([
    ['a range of 10^9', '{% for i in range(10**9) %}{% endfor %}', 'CHAT_TEMPLATE_RENDER'],
    [
      'loops in loops without a body',
      '{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}',
      'CHAT_TEMPLATE_LIMIT',
    ],
    [
      'a macro without end',
      '{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}',
      'CHAT_TEMPLATE_RENDER',
    ],
    ['a text that doubles', grow("'x'"), 'CHAT_TEMPLATE_LIMIT'],
    ['a list that doubles', grow('[1]'), 'CHAT_TEMPLATE_LIMIT'],
    ['an indentation of 10^9', '{{ messages|tojson(indent=1000000000) }}', 'CHAT_TEMPLATE_RENDER'],
    [
      'a text that grows tenfold',
      "{% set n = namespace(x='a') %}{% for i in range(30) %}{% set n.x = n.x|replace('a', 'aaaaaaaaaa') %}{% endfor %}",
      'CHAT_TEMPLATE_LIMIT',
    ],
  ])('%s', (_, source, code) => {
    expect(codeOf(source)).toBe(code);
  });

  test('a step that takes long by itself ends the rendering after seconds', () => {
    let seconds = 0;
    vi.spyOn(performance, 'now').mockImplementation(() => 1000 * seconds++);
    const source = '{% for i in range(1000) %}{% set x = [3, 1, 2]|sort %}{% endfor %}';
    expect(codeOf(source)).toBe('CHAT_TEMPLATE_LIMIT');
  });
});

test.each([
  ['a megabyte of spaces', ' '.repeat(2 ** 20)],
  ['a template of more than 1 Mi characters', 'x'.repeat(2 ** 20 + 1)],
  ['escaped quotes that never close', `{% '${"\\'".repeat(400_000)}`],
  ['tags that never close', '{%'.repeat(300_000)],
  ['comments that never close', '{#'.repeat(300_000)],
  ['lists in lists in lists', `{{ ${'['.repeat(5000)}${']'.repeat(5000)} }}`],
  ['20,000 ifs in one another', '{% if x %}'.repeat(20_000) + '{% endif %}'.repeat(20_000)],
])('%s does not compile, and says so soon', (_, source) => {
  expect(codeOf(source)).toBe('CHAT_TEMPLATE_SYNTAX');
});

test('a template sees no more than its variables', () => {
  for (const name of ['process', 'globalThis', 'constructor', 'require', 'Function'])
    expect(compileChatTemplate(`{{ ${name} is defined }}`).render(messages).text).toBe('false');
  for (const path of ['constructor', '__proto__', 'toString', 'constructor.constructor'])
    expect(codeOf(`{{ messages[0].${path}('return process')() }}`)).toBe('CHAT_TEMPLATE_RENDER');
});

test('keys of messages named as JavaScript names its prototypes are plain data', () => {
  const message = JSON.parse('{"role":"user","content":"x","__proto__":{"polluted":true}}');
  const { text } = compileChatTemplate('{{ messages[0].polluted is defined }}').render([message]);
  expect(text).toBe('false');
  expect(({} as Record<string, unknown>).polluted).toBeUndefined();
});

test('a chat of 2,000 messages is no attack', () => {
  const turn = (i: number) => ({
    role: i % 2 ? 'assistant' : 'user',
    content: 'texto '.repeat(50),
  });
  const { spans } = compileChatTemplate(TUTOR_CHAT_TEMPLATE).render(
    Array.from({ length: 2000 }, (_, i) => turn(i)),
  );
  expect(spans).toHaveLength(1000);
});
