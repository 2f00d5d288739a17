import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { datasetError, formatRowError, type Row, readJsonl } from './index.js';

const utf8 = new TextEncoder();
const read = (text: string) => readJsonl(utf8.encode(text), { file: 'data.jsonl' });
const user = { role: 'user', content: 'Q' };
const assistant = { role: 'assistant', content: 'A' };
const system = { role: 'system', content: 'S' };

function onlyRow(value: unknown): Row {
  const { rows, errors } = read(JSON.stringify(value));
  expect(errors).toEqual([]);
  expect(rows).toHaveLength(1);
  return rows[0]!;
}

function onlyError(line: string) {
  const { rows, errors } = read(`{"text": "good"}\n${line}\n{"text": "good"}`);
  expect(rows).toHaveLength(2);
  expect(errors).toHaveLength(1);
  expect(errors[0]).toMatchObject({ file: 'data.jsonl', line: 2 });
  return errors[0]!;
}

describe('formats', () => {
  test('messages, with a system prompt, other keys and a question at the end', () => {
    const messages = [system, user, { ...assistant, name: 'x' }, user];
    expect(onlyRow({ id: 7, messages, text: 'ignored' })).toEqual({
      kind: 'chat',
      format: 'messages',
      line: 1,
      messages: [system, user, assistant, user],
    });
  });

  test('ShareGPT, by its own names and by OpenAI’s', () => {
    const conversations = [
      { from: 'system', value: 'S' },
      { from: 'human', value: 'Q' },
      { from: 'gpt', value: 'A' },
    ];
    const row = { kind: 'chat', format: 'sharegpt', messages: [system, user, assistant] };
    expect(onlyRow({ conversations })).toMatchObject(row);
    expect(onlyRow({ conversations: [system, user, assistant] })).toMatchObject(row);
  });

  test('instruction, with and without input', () => {
    const row = (content: string) => ({
      kind: 'chat',
      format: 'instruction',
      messages: [{ role: 'user', content }, assistant],
    });
    expect(onlyRow({ instruction: 'Q', input: 'I', output: 'A' })).toMatchObject(row('Q\n\nI'));
    expect(onlyRow({ instruction: 'Q', input: '', output: 'A' })).toMatchObject(row('Q'));
    expect(onlyRow({ instruction: 'Q', output: 'A' })).toMatchObject(row('Q'));
    expect(onlyRow({ instruction: 'Q', output: 'A', system: 'S' })).toMatchObject({
      messages: [system, user, assistant],
    });
  });

  test('prompt and completion, text, and tokens', () => {
    expect(onlyRow({ prompt: 'P', completion: ' C' })).toEqual({
      kind: 'completion',
      format: 'prompt-completion',
      line: 1,
      prompt: 'P',
      completion: ' C',
    });
    expect(onlyRow({ text: 'T' })).toEqual({ kind: 'text', format: 'text', line: 1, text: 'T' });
    const tokens = { kind: 'tokens', format: 'tokens', line: 1, inputIds: [1, 2] };
    expect(onlyRow({ input_ids: [1, 2], labels: [-100, 2], attention_mask: [1, 1] })).toEqual({
      ...tokens,
      labels: [-100, 2],
    });
    expect(onlyRow({ input_ids: [1, 2] })).toEqual({ ...tokens, labels: [1, 2] });
  });
});

describe('tolerated', () => {
  test('byte order mark, CRLF, blank lines, no last line feed, duplicate keys', () => {
    const { rows, errors } = read(
      '\ufeff{"text": "a"}\r\n\r\n   \n{"text": "b", "text": "c"}\n\n{"text": "d"}',
    );
    expect(errors).toEqual([]);
    expect(rows.map((row) => [row.line, 'text' in row && row.text])).toEqual([
      [1, 'a'],
      [4, 'c'],
      [6, 'd'],
    ]);
  });

  test('any text in any row comes back, line for line', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'binary', minLength: 1 })), (texts) => {
        const written = texts.map((text) => ({ text: `x${text}` }));
        const file = `{"text":"first"}\n${written.map((row) => `${JSON.stringify(row)}\n`).join('')}`;
        const { rows, errors } = read(file);
        expect(errors).toEqual([]);
        expect(rows.slice(1)).toEqual(
          written.map((row, index) => ({ ...row, kind: 'text', format: 'text', line: index + 2 })),
        );
      }),
    );
  });
});

describe('bad rows, each listed with its line', () => {
  const chat = (...messages: unknown[]) => JSON.stringify({ messages });
  test.each([
    ['DATASET_JSON', '{"text": "a",}', 'comma before "}"'],
    ['DATASET_JSON', '{"text": nul}', 'nul is no JSON'],
    ['DATASET_NOT_OBJECT', '["a"]', 'JSON object'],
    ['DATASET_NOT_OBJECT', 'null', 'JSON object'],
    ['DATASET_FORMAT', '{"question": "Q", "answer": "A"}', 'keys question, answer'],
    ['DATASET_FORMAT', '{}', 'keys none'],
    ['DATASET_FIELD', '{"messages": "hi"}', 'messages is text; it must be a list'],
    ['DATASET_FIELD', chat({ role: 'user' }), 'messages[0].content is missing; add it as text'],
    ['DATASET_FIELD', chat(user, { role: 'assistant', content: null }), '[1].content is null'],
    ['DATASET_FIELD', chat(user, 'hello'), 'messages[1] is text; it must be an object'],
    [
      'DATASET_FIELD',
      '{"conversations": [{"from": "human"}]}',
      'conversations[0].value is missing',
    ],
    ['DATASET_FIELD', '{"prompt": "P"}', 'completion is missing'],
    ['DATASET_FIELD', '{"completion": "C"}', 'prompt is missing'],
    ['DATASET_FIELD', '{"instruction": "I"}', 'output is missing'],
    ['DATASET_FIELD', '{"text": 3}', 'text is the number 3; it must be text'],
    ['DATASET_FIELD', '{"input_ids": [1, 2.5]}', 'input_ids[1] is the number 2.5'],
    ['DATASET_FIELD', '{"input_ids": [1, "2"]}', 'input_ids[1] is text; it must be a'],
    ['DATASET_ROLE', chat(user, { role: 'bot', content: 'A' }), 'role "bot"'],
    ['DATASET_ROLE', chat(user, { role: 'constructor', content: 'A' }), 'role "constructor"'],
    ['DATASET_EMPTY', chat(user, { role: 'assistant', content: ' \n' }), '[1].content is empty'],
    ['DATASET_EMPTY', chat(), 'messages is empty'],
    ['DATASET_EMPTY', '{"conversations":[{"from":"human","value":""}]}', '[0].value is empty'],
    ['DATASET_EMPTY', '{"instruction": "", "output": "A"}', 'instruction is empty'],
    ['DATASET_EMPTY', '{"instruction": "Q", "output": "\\u001c"}', 'output is empty'],
    ['DATASET_EMPTY', '{"text": ""}', 'text is empty'],
    ['DATASET_EMPTY', '{"prompt": "P", "completion": ""}', 'completion is empty'],
    ['DATASET_EMPTY', '{"input_ids": []}', 'input_ids is empty'],
    ['DATASET_ORDER', chat(assistant, user), 'no question before it'],
    ['DATASET_ORDER', chat(system, assistant), 'no question before it'],
    ['DATASET_ORDER', chat(user, user, assistant), 'messages[1] is a second user turn'],
    ['DATASET_ORDER', chat(user, assistant, assistant), 'messages[2] is a second assistant turn'],
    ['DATASET_ORDER', chat(user, system, assistant), 'messages[1] is a system turn'],
    ['DATASET_ORDER', chat(system, system, user, assistant), 'messages[1] is a system turn'],
    ['DATASET_NO_ANSWER', chat(system, user), 'no assistant turn'],
    ['DATASET_TOKENS', '{"input_ids": [1, 2], "labels": [1]}', '1 entries and input_ids 2'],
    ['DATASET_TOKENS', '{"input_ids": [1, -2]}', 'input_ids[1] is -2'],
    ['DATASET_TOKENS', '{"input_ids": [1, 2], "labels": [1, -1]}', 'labels[1] is -1'],
    ['DATASET_TOKENS', '{"input_ids": [1, 2], "attention_mask": [1, 0]}', 'without padding'],
  ])('%s: %s', (code, line, reason) => {
    const error = onlyError(line);
    expect(error.code).toBe(code);
    expect(error.message).toContain(reason);
  });

  test('broken JSON has its column', () => {
    expect(onlyError('{"text": "a" "b"}')).toMatchObject({ column: 14 });
  });

  test.each([
    ['a Latin-1 ñ', [0x61, 0xf1, 0x61], 10, 'byte 0xF1 at offset 26'],
    ['a character cut short', [0xc3, 0xa9, 0xf0, 0x9f], 10, 'byte 0xF0 at offset 27'],
    ['an encoded surrogate', [0xed, 0xa0, 0x80], 9, 'byte 0xED at offset 25'],
    ['an overlong form', [0xc0, 0xaf], 9, 'byte 0xC0 at offset 25'],
  ])('invalid UTF-8: %s', (_name, bad, column, reason) => {
    const file = [...utf8.encode('{"text": "good"}\n{"text":'), ...bad, ...utf8.encode('}\n')];
    const { rows, errors } = readJsonl(Uint8Array.from(file), { file: 'f' });
    expect(rows).toHaveLength(1);
    expect(errors).toMatchObject([{ line: 2, column, code: 'DATASET_ENCODING' }]);
    expect(errors[0]!.message).toContain(reason);
  });
});

describe('a file of another shape gets one error', () => {
  test.each([
    ['[\n {"text": "a"},\n {"text": "b"}\n]', 'DATASET_NOT_JSONL'],
    ['[{"text": "a"}, {"text": "b"}]', 'DATASET_NOT_JSONL'],
    ['{\n  "text": "a"\n}', 'DATASET_NOT_JSONL'],
    ['', 'DATASET_NO_ROWS'],
    ['\ufeff\n \n', 'DATASET_NO_ROWS'],
  ])('%j: %s', (text, code) => {
    expect(read(text)).toEqual({ rows: [], errors: [expect.objectContaining({ line: 1, code })] });
  });

  test('UTF-16', () => {
    const text = '\ufeff{"text": "a"}\n';
    for (const little of [true, false]) {
      const bytes = new Uint8Array(text.length * 2);
      const view = new DataView(bytes.buffer);
      for (let i = 0; i < text.length; i++) view.setUint16(2 * i, text.charCodeAt(i), little);
      for (const each of [bytes, bytes.subarray(2)]) {
        const { errors } = readJsonl(each, { file: 'f' });
        expect(errors).toMatchObject([{ code: 'DATASET_ENCODING', line: 1 }]);
      }
    }
  });
});

test('never throws, whatever the bytes', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      const { rows, errors } = readJsonl(bytes, { file: 'f' });
      expect(rows.length + errors.length).toBeGreaterThanOrEqual(1);
    }),
  );
  const rows = fc.jsonValue().map((value) => JSON.stringify({ messages: value }));
  fc.assert(
    fc.property(rows, (row) => {
      expect(read(row).rows.length + read(row).errors.length).toBe(1);
    }),
  );
});

test('errors are written as file:line:column, and thrown together', () => {
  const { errors } = read(`${'{"x": 1}\n'.repeat(12)}{"text": }`);
  expect(formatRowError(errors[12]!)).toBe('data.jsonl:13:10: not JSON: a value is due here');
  const error = datasetError(errors);
  expect(error).toMatchObject({ code: 'DATASET_ROWS', details: { errors } });
  expect(error.message).toContain('13 rows');
  expect(error.message).toContain('\n  data.jsonl:10: ');
  expect(error.message).not.toContain('data.jsonl:11');
  expect(error.message).toContain('3 more');
  expect(datasetError(errors.slice(0, 1)).message).toContain('One row');
});
