import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compileChatTemplate, TUTOR_CHAT_TEMPLATE, TUTOR_MARKERS } from './index.js';

const tutor = compileChatTemplate(TUTOR_CHAT_TEMPLATE);
const user = { role: 'user', content: 'Hi' };

/** What Python's `str.strip()` takes away. */
const PYTHON_SPACE = new Set(
  '\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000',
);

function pythonStrip(text: string): string {
  let [start, end] = [0, text.length];
  while (start < end && PYTHON_SPACE.has(text[start]!)) start++;
  while (end > start && PYTHON_SPACE.has(text[end - 1]!)) end--;
  return text.slice(start, end);
}

function thrownBy(action: () => unknown): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  return undefined;
}

describe('the tutor format', () => {
  test('is a marker, a line feed, the trimmed content, <|end|> and a line feed a turn', () => {
    const { text, spans } = tutor.render(
      [
        { role: 'system', content: ' Be kind. ' },
        { role: 'user', content: 'Hi\n' },
        { role: 'assistant', content: 'Hello!\n\nWhat now?' },
      ],
      { addGenerationPrompt: true },
    );
    expect(text).toBe(
      '<|system|>\nBe kind.<|end|>\n<|user|>\nHi<|end|>\n<|assistant|>\nHello!\n\nWhat now?<|end|>\n<|assistant|>\n',
    );
    expect(spans).toEqual([{ start: 60, end: 84, message: 2 }]);
    expect(text.slice(60, 84)).toBe('Hello!\n\nWhat now?<|end|>');
    expect(TUTOR_MARKERS.every((marker) => text.includes(marker))).toBe(true);
  });

  test('any contents: the spans are the trimmed answers with <|end|>, and name their messages', () => {
    const edge = fc.constantFrom(
      '',
      ' ',
      '\n',
      '\x1c',
      '\x1f',
      '\x85',
      '\ufeff',
      '\u2003',
      '\ufdd0',
    );
    const content = fc
      .tuple(edge, fc.string({ unit: 'binary' }), edge)
      .map((parts) => parts.join(''));
    const message = fc.record({
      role: fc.constantFrom('system', 'user', 'assistant'),
      content,
    });
    fc.assert(
      fc.property(fc.array(message, { maxLength: 8 }), (messages) => {
        const { text, spans } = tutor.render(messages);
        const written = messages.map(
          ({ role, content }) => `<|${role}|>\n${pythonStrip(content)}<|end|>\n`,
        );
        expect(text).toBe(written.join(''));
        const answers = messages.flatMap(({ role, content }, index) =>
          role === 'assistant' ? [{ answer: `${pythonStrip(content)}<|end|>`, index }] : [],
        );
        expect(
          spans.map(({ start, end, message: index }) => ({
            answer: text.slice(start, end),
            index,
          })),
        ).toEqual(answers);
      }),
    );
  });
});

describe('spans', () => {
  test('a template without generation tags has none, and says so', () => {
    const template = compileChatTemplate('{% for m in messages %}{{ m.content }}{% endfor %}');
    expect(template.hasGenerationTags).toBe(false);
    expect(template.render([user])).toEqual({ text: 'Hi', spans: [] });
    expect(tutor.hasGenerationTags).toBe(true);
    expect(compileChatTemplate('{# {% generation %} #}x').hasGenerationTags).toBe(false);
  });

  test('a span that holds no assistant message belongs to message -1', () => {
    const template = compileChatTemplate('{% generation %}always{% endgeneration %}');
    expect(template.render([user]).spans).toEqual([{ start: 0, end: 6, message: -1 }]);
  });

  test('a template that prints only the last answer names the right message', () => {
    const template = compileChatTemplate(
      '{% generation %}{{ messages[-1].content }}{% endgeneration %}',
    );
    const chat = [user, { role: 'assistant', content: 'one' }, user];
    expect(
      template.render([...chat, { role: 'assistant', content: 'two' }]).spans[0],
    ).toMatchObject({ message: 3 });
  });
});

describe('variables', () => {
  test('are passed on, and win over the globals', () => {
    const template = compileChatTemplate("{{ bos_token }}{{ strftime_now('%Y') }}{{ tools }}");
    const variables = { bos_token: '<s>', strftime_now: () => '1999', tools: 'T' };
    expect(template.render([], { variables }).text).toBe('<s>1999T');
  });

  test('messages cannot be replaced by a variable', () => {
    const template = compileChatTemplate('{{ messages[0].content }}');
    expect(template.render([user], { variables: { messages: [] } }).text).toBe('Hi');
  });
});

test('line endings of the template are line feeds, those of messages stay', () => {
  const template = compileChatTemplate(
    '{% if true %}\r\na\r\n{% endif %}\r{{ messages[0].content }}\r\n',
  );
  expect(template.render([{ role: 'user', content: 'x\r\ny' }]).text).toBe('a\nx\r\ny');
});

describe('errors', () => {
  test.each([
    ['x\n{% for m in messages %}\n{{ m.content }}\n', 2, 'never closed'],
    ['{% if a %}\n{% endfor %}', 2, '{% endif %} is due'],
    ['a\n\n{% endgeneration %}', 3, 'closes nothing'],
    ['{% generation %}\n{{ 1 }}', 1, 'never closed'],
    ['{% generation %}\n{% generation %}{% endgeneration %}{% endgeneration %}', 2, 'inside'],
    ['{{ a }}\n{{ b +\n', 2, '{{ is never closed'],
    ['ok\n{# no end', 2, '{# is never closed'],
    ['ok\n{{ a b }}', 2, '{{ a b }}'],
    ['ok\n{% if a %}\n{% elif (b %}{% endif %}', 3, '{% elif (b %}'],
    ['ok\n{% frob x %}', 2, 'frob'],
    ['{{ "a\\q" }}', 1, 'escaped'],
  ])('%j: line %i', (source, line, reason) => {
    const error = thrownBy(() => compileChatTemplate(source));
    expect(error).toMatchObject({ code: 'CHAT_TEMPLATE_SYNTAX', kind: 'input', details: { line } });
    expect((error as Error).message).toContain(reason);
    expect((error as Error).message).toContain(`line ${line}`);
  });

  test('raise_exception keeps its message', () => {
    const error = thrownBy(() => tutor.render([{ role: 'tool', content: 'x' }]));
    expect(error).toMatchObject({ code: 'CHAT_TEMPLATE_RAISED' });
    expect((error as Error).message).toContain('a role is one of system, user and assistant');
  });

  test('a template that fails says why', () => {
    const template = compileChatTemplate('{{ messages[0].content + 1 }}{{ messages() }}');
    expect(thrownBy(() => template.render([user]))).toMatchObject({ code: 'CHAT_TEMPLATE_RENDER' });
  });

  test.each([
    ['a huge range', '{% for i in range(10 ** 12) %}x{% endfor %}', 'CHAT_TEMPLATE_RENDER'],
    [
      'endless recursion',
      '{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}',
      'CHAT_TEMPLATE_RENDER',
    ],
    [
      'doubling',
      "{% set n = namespace(s='x') %}{% for i in range(25) %}{% set n.s = n.s + n.s %}{% endfor %}{{ n.s }}",
      'CHAT_TEMPLATE_LIMIT',
    ],
  ])('%s is refused', (_name, source, code) => {
    const template = compileChatTemplate(source);
    expect(thrownBy(() => template.render([user]))).toMatchObject({ code });
  });
});
