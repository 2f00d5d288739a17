import { describe, expect, test } from 'vitest';
import { phiNanoFiles } from '../test/phi-nano.js';
import { loadTokenizer } from './index.js';

type Document = Record<string, never> & {
  model: Record<string, unknown> & { vocab: Record<string, unknown>; merges: unknown[] };
  added_tokens: Record<string, unknown>[];
};
const source = phiNanoFiles().tokenizerJson;

function changed(change: (document: Document & Record<string, unknown>) => void): string {
  const document = JSON.parse(source) as Document;
  change(document);
  return JSON.stringify(document);
}

function errorOf(tokenizerJson: string, tokenizerConfig?: string): unknown {
  try {
    loadTokenizer({ tokenizerJson, ...(tokenizerConfig !== undefined && { tokenizerConfig }) });
  } catch (error) {
    return error;
  }
  return 'no error';
}

describe('broken files', () => {
  test.each([
    ['not JSON', '{', 'is not JSON'],
    ['not an object', '[]', 'not a JSON object'],
    ['no model', '{}', 'has no model'],
    [
      'no vocabulary',
      changed((d) => Object.assign(d.model, { vocab: undefined })),
      'no model.vocab',
    ],
    ['no merges', changed((d) => Object.assign(d.model, { merges: undefined })), 'no model.merges'],
    ['a wrong id', changed((d) => (d.model.vocab.a = -1)), 'the id -1'],
    ['the same id twice', changed((d) => (d.model.vocab.a = d.model.vocab.b)), 'the id'],
    ['a wrong merge', changed((d) => (d.model.merges[7] = ['a'])), 'wrong merge 7'],
    ['an unknown merge', changed((d) => (d.model.merges[0] = 'qqq zzz')), 'merges "qqq zzz"'],
    ['an added token without id', changed((d) => (d.added_tokens[0]!.id = 'x')), 'added_tokens[0]'],
    ['an empty added token', changed((d) => (d.added_tokens[0]!.content = '')), 'empty'],
    ['an added token on a taken id', changed((d) => (d.added_tokens[0]!.id = 5)), 'denies'],
  ])('%s', (_name, tokenizerJson, reason) => {
    expect(errorOf(tokenizerJson)).toMatchObject({
      code: 'TOKENIZER_JSON',
      message: expect.stringContaining(reason),
    });
  });
});

describe('other kinds of tokenizer are refused by name', () => {
  const set = (name: string, value: unknown) =>
    changed((document) => Object.assign(document, { [name]: value }));
  const setModel = (name: string, value: unknown) =>
    changed((document) => Object.assign(document.model, { [name]: value }));
  test.each([
    ['Unigram', setModel('type', 'Unigram')],
    ['NFC', set('normalizer', { type: 'NFC' })],
    ['Metaspace', set('pre_tokenizer', { type: 'Metaspace' })],
    ['null', set('pre_tokenizer', null)],
    ['space before', set('pre_tokenizer', { type: 'ByteLevel', add_prefix_space: true })],
    ['split words', set('pre_tokenizer', { type: 'ByteLevel', use_regex: false })],
    ['TemplateProcessing', set('post_processor', { type: 'TemplateProcessing' })],
    ['WordPiece', set('decoder', { type: 'WordPiece' })],
    ['end_of_word_suffix', setModel('end_of_word_suffix', '</w>')],
    ['dropout', setModel('dropout', 0.1)],
    ['byte 33', changed((document) => void delete document.model.vocab['!'])],
    ['rstrip', changed((document) => (document.added_tokens[0]!.rstrip = true))],
  ])('%s', (reason, tokenizerJson) => {
    expect(errorOf(tokenizerJson)).toMatchObject({
      code: 'TOKENIZER_UNSUPPORTED',
      message: expect.stringContaining(reason),
    });
  });
});

describe('tokenizer_config.json', () => {
  test('names the special tokens, as text or as objects', () => {
    const tokenizerConfig = JSON.stringify({
      bos_token: null,
      eos_token: { content: '<|endoftext|>' },
      pad_token: '!',
    });
    const tokenizer = loadTokenizer({ tokenizerJson: source, tokenizerConfig });
    expect(tokenizer).toMatchObject({ bosToken: null, eosToken: '<|endoftext|>', eosId: 8191 });
    expect(tokenizer.padId).toBe(tokenizer.idOf('!'));
  });

  test('missing: <|endoftext|> ends; of another family: nothing does', () => {
    expect(loadTokenizer({ tokenizerJson: source })).toMatchObject({ eosId: 8191, padId: 8191 });
    const other = loadTokenizer({
      tokenizerJson: source,
      tokenizerConfig: '{"tokenizer_class":"PreTrainedTokenizerFast"}',
    });
    expect(other).toMatchObject({ bosToken: null, eosToken: null, eosId: null, padId: 0 });
  });

  test('a chat template, alone or the default of several; the file wins', () => {
    const load = (chat_template: unknown, chatTemplate?: string) =>
      loadTokenizer({
        tokenizerJson: source,
        tokenizerConfig: JSON.stringify({ chat_template }),
        ...(chatTemplate !== undefined && { chatTemplate }),
      }).chatTemplate;
    expect(load('A')).toBe('A');
    expect(
      load([
        { name: 'tool_use', template: 'T' },
        { name: 'default', template: 'D' },
      ]),
    ).toBe('D');
    expect(load('A', 'file')).toBe('file');
    expect(load(undefined)).toBeNull();
  });

  test('errors', () => {
    expect(errorOf(source, 'x')).toMatchObject({ code: 'TOKENIZER_CONFIG' });
    expect(errorOf(source, '{"eos_token":"</s>"}')).toMatchObject({
      code: 'TOKENIZER_CONFIG',
      details: { role: 'eos_token', token: '</s>' },
    });
  });
});
