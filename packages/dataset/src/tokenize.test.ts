import { readFileSync } from 'node:fs';
import { compileChatTemplate } from '@qlorajs/chat-template';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { options, template, tokenizer } from '../test/phi-nano.js';
import {
  type ChatMessage,
  markTrained,
  type Row,
  type TokenizeOptions,
  tokenizeRow,
  tokenizeRows,
} from './index.js';

const chat = (...contents: string[]): Row => ({
  kind: 'chat',
  format: 'messages',
  line: 3,
  messages: contents.map((content, index) => ({
    role: index % 2 === 0 ? 'user' : 'assistant',
    content,
  })),
});
const text = (value: string): Row => ({ kind: 'text', format: 'text', line: 3, text: value });
const completion = (prompt: string, answer: string): Row => {
  return { kind: 'completion', format: 'prompt-completion', line: 3, prompt, completion: answer };
};
const tokens = (inputIds: number[], labels = inputIds): Row => {
  return { kind: 'tokens', format: 'tokens', line: 3, inputIds, labels };
};

function exampleOf(row: Row, changes: Partial<TokenizeOptions> = {}) {
  const result = tokenizeRow(row, { ...options, ...changes });
  if (result.kind !== 'example') throw new Error(`not an example: ${JSON.stringify(result)}`);
  return result.example;
}

function errorOf(row: Row, changes: Partial<TokenizeOptions> = {}) {
  const result = tokenizeRow(row, { ...options, ...changes });
  return result.kind === 'error' ? result.error : result;
}

function trainedText(row: Row, changes: Partial<TokenizeOptions> = {}): string {
  const { labels } = exampleOf(row, changes);
  return tokenizer.decode(labels.filter((label) => label !== -100));
}

interface Fixture {
  readonly chats: readonly {
    readonly name: string;
    readonly messages: readonly ChatMessage[];
    readonly input_ids: number[];
    readonly assistant_masks: number[];
  }[];
}
const fixture = JSON.parse(
  readFileSync(new URL('../fixtures/phi-nano-chats.json', import.meta.url), 'utf8'),
) as Fixture;

describe('the ids and masks of apply_chat_template in transformers', () => {
  test.each(fixture.chats.map((one) => [one.name, one] as const))('%s', (_name, one) => {
    const row: Row = { kind: 'chat', format: 'messages', line: 1, messages: one.messages };
    const { text: rendered } = template.render(one.messages);
    expect(tokenizer.encode(rendered).ids).toEqual(one.input_ids);
    if (!one.assistant_masks.includes(1)) {
      expect(errorOf(row)).toMatchObject({ code: 'DATASET_NOTHING_TRAINED' });
      return;
    }
    const { inputIds, labels } = exampleOf(row);
    expect([...inputIds]).toEqual(one.input_ids);
    const expected = one.input_ids.map((id, index) => (one.assistant_masks[index] ? id : -100));
    expect([...labels]).toEqual(expected);
  });
});

describe('what is trained', () => {
  const content = fc
    .oneof(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'binary' }))
    .filter((value) => !/^[\s\p{Cc}\ufeff]*$/u.test(value))
    // Where Python and JavaScript disagree on what to trim is the template's business.
    .filter((value) => !/^[\p{Cc}\ufeff]|[\p{Cc}\ufeff]$/u.test(value));
  const turns = fc.array(fc.tuple(content, content), { minLength: 1, maxLength: 3 });

  test('of a chat: the answers and their <|end|>, nothing else', () => {
    fc.assert(
      fc.property(turns, (pairs) => {
        const answers = pairs.map(([, answer]) => `${answer.trim()}<|end|>`);
        expect(trainedText(chat(...pairs.flat()))).toBe(answers.join(''));
      }),
    );
  });

  test('of a chat with trainOn all: everything', () => {
    const row = chat('Hola', '¿Qué tal?');
    expect(trainedText(row, { trainOn: 'all' })).toBe(
      '<|user|>\nHola<|end|>\n<|assistant|>\n¿Qué tal?<|end|>\n',
    );
    const plain = compileChatTemplate('{% for m in messages %}{{ m.content }}\n{% endfor %}');
    expect(trainedText(row, { trainOn: 'all', template: plain })).toBe('Hola\n¿Qué tal?\n');
  });

  test('of a text: all of it, and eos once', () => {
    expect(trainedText(text('Una pila.'))).toBe('Una pila.<|endoftext|>');
    expect(trainedText(text('Una pila.<|endoftext|>'))).toBe('Una pila.<|endoftext|>');
    const noEos = { ...tokenizer, eosId: null, eosToken: null };
    expect(trainedText(text('Una pila.'), { tokenizer: noEos })).toBe('Una pila.');
  });

  test('of a completion: it and eos', () => {
    expect(trainedText(completion('Pregunta: ¿qué?\n', 'Una pila.'))).toBe(
      'Una pila.<|endoftext|>',
    );
    expect(trainedText(completion('A ', 'B'), { trainOn: 'all' })).toBe('A B<|endoftext|>');
    fc.assert(
      fc.property(content, content, (prompt, answer) => {
        // The line feed is a token of its own before anything but white space.
        const row = completion(`${prompt}:\n`, answer.trim());
        expect(trainedText(row)).toBe(`${answer.trim()}<|endoftext|>`);
      }),
    );
  });

  test('a token that starts before the span and reaches into it is not trained', () => {
    // " pila" is one token; the boundary lies inside it.
    const { ids } = tokenizer.encode('Una pila');
    const { inputIds, labels } = exampleOf(completion('Una p', 'ila'));
    expect([...inputIds]).toEqual([...ids, 8191]);
    expect([...labels]).toEqual([...ids.map(() => -100), 8191]);
  });

  test('of tokens: their labels, whatever trainOn says', () => {
    for (const trainOn of ['assistant', 'all'] as const) {
      const { inputIds, labels } = exampleOf(tokens([5, 6, 7], [-100, -100, 9]), { trainOn });
      expect([...inputIds]).toEqual([5, 6, 7]);
      expect([...labels]).toEqual([-100, -100, 9]);
    }
    expect(exampleOf(tokens([5, 6]), { tokenizer: null, template: null }).line).toBe(3);
  });
});

describe('length', () => {
  const row = text('uno dos tres cuatro cinco');
  const full = exampleOf(row).inputIds;

  test('as long as the limit is fine, one more is an error', () => {
    expect(exampleOf(row, { maxSeqLength: full.length }).inputIds).toEqual(full);
    const maxSeqLength = full.length - 1;
    expect(errorOf(row, { maxSeqLength })).toMatchObject({
      file: 'data.jsonl',
      line: 3,
      code: 'DATASET_TOO_LONG',
      message: expect.stringContaining(`${full.length} tokens`),
    });
  });

  test('truncate keeps the start, drop keeps nothing', () => {
    const cut = exampleOf(row, { maxSeqLength: 3, truncation: 'truncate' });
    expect(cut.inputIds).toEqual(full.slice(0, 3));
    expect(cut.labels).toEqual(full.slice(0, 3));
    const result = tokenizeRow(row, { ...options, maxSeqLength: 3, truncation: 'drop' });
    expect(result).toMatchObject({ kind: 'dropped', length: full.length });
  });

  test('a row whose trained part is cut off is dropped', () => {
    const result = tokenizeRow(chat('una pregunta muy larga', 'sí'), {
      ...options,
      maxSeqLength: 4,
      truncation: 'truncate',
    });
    expect(result.kind).toBe('dropped');
  });

  test('tokenizeRows says which rows were dropped, cut or wrong, and measures all of them', () => {
    const rows = [text('uno'), row, tokens([1, 9999]), tokens([1, 2], [1, -100])];
    const dataset = tokenizeRows(rows, { ...options, maxSeqLength: 4, truncation: 'truncate' });
    expect(dataset.examples.map(({ inputIds }) => inputIds.length)).toEqual([
      exampleOf(text('uno')).inputIds.length,
      4,
    ]);
    expect(dataset.truncated).toEqual([3]);
    expect(dataset.dropped).toEqual([]);
    expect(dataset.errors.map(({ code }) => code)).toEqual([
      'DATASET_TOKENS',
      'DATASET_NOTHING_TRAINED',
    ]);
    expect(dataset.lengths[1]).toBe(full.length);
    expect(dataset.trained[1]).toBe(full.length - 1);
    expect(dataset.lengths).toHaveLength(3);
  });
});

describe('errors', () => {
  test('ids that the model does not have', () => {
    expect(errorOf(tokens([1, 8256]))).toMatchObject({
      code: 'DATASET_TOKENS',
      message: expect.stringContaining('input_ids[1] is 8256'),
    });
    expect(errorOf(tokens([1, 2], [-100, 9000]))).toMatchObject({
      message: expect.stringContaining('labels[1] is 9000'),
    });
  });

  test('only the first token trained is nothing trained', () => {
    expect(errorOf(tokens([5, 6], [5, -100]))).toMatchObject({ code: 'DATASET_NOTHING_TRAINED' });
    expect(errorOf(tokens([5]))).toMatchObject({ code: 'DATASET_NOTHING_TRAINED' });
  });

  test('a template that refuses a row', () => {
    const strict = compileChatTemplate(
      "{% generation %}{{ raise_exception('no system') }}{% endgeneration %}",
    );
    expect(errorOf(chat('Q', 'A'), { template: strict })).toMatchObject({
      line: 3,
      code: 'DATASET_TEMPLATE',
      message: expect.stringContaining('no system'),
    });
  });

  test('what is wrong with every row is thrown', () => {
    const plain = compileChatTemplate('{{ messages[0].content }}');
    const thrown = (row: Row, changes: Partial<TokenizeOptions>, code: string) =>
      expect(() => tokenizeRow(row, { ...options, ...changes })).toThrow(
        expect.objectContaining({ code }),
      );
    thrown(chat('Q', 'A'), { template: plain }, 'DATASET_GENERATION_TAGS');
    thrown(chat('Q', 'A'), { template: null }, 'DATASET_TEMPLATE_MISSING');
    thrown(chat('Q', 'A'), { tokenizer: null }, 'DATASET_TOKENIZER');
    thrown(text('T'), { tokenizer: null }, 'DATASET_TOKENIZER');
  });

  test('the template sees bos and eos', () => {
    const bos = compileChatTemplate(
      '{{ bos_token }}{% generation %}{{ messages[1].content + eos_token }}{% endgeneration %}',
    );
    expect(trainedText(chat('Q', 'A'), { template: bos })).toBe('A<|endoftext|>');
  });
});

describe('markTrained', () => {
  test('marks the answers', () => {
    expect(markTrained(exampleOf(chat('Hola', '¿Qué tal?')), tokenizer)).toEqual([
      { text: '<|user|>\nHola<|end|>\n<|assistant|>\n', trained: false },
      { text: '¿Qué tal?<|end|>', trained: true },
      { text: '\n', trained: false },
    ]);
  });

  test('the first token is not trained', () => {
    const segments = markTrained(exampleOf(text('Una pila')), tokenizer);
    expect(segments.map(({ trained }) => trained)).toEqual([false, true]);
  });

  test('segments alternate and join to the example', () => {
    const labels = fc.array(fc.boolean(), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(labels, (trained) => {
        const inputIds = Int32Array.from(trained, (_, index) => 64 + index);
        const example = {
          inputIds,
          labels: inputIds.map((id, index) => (trained[index] ? id : -100)),
        };
        const segments = markTrained(example, tokenizer);
        expect(segments.map((segment) => segment.text).join('')).toBe(tokenizer.decode(inputIds));
        // These ids are one letter each.
        const flags = segments.flatMap((each) => Array(each.text.length).fill(each.trained));
        expect(flags).toEqual(trained.map((flag, index) => flag && index > 0));
        const flips = flags.filter((flag, index) => index > 0 && flag !== flags[index - 1]);
        expect(segments).toHaveLength(flips.length + 1);
      }),
    );
  });
});
