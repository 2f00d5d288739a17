import { parseJson, QLoraError } from '@qlorajs/errors';
import { BYTE_CHARACTERS } from './byte-level.js';

/** A token outside the merges, found in the raw text before anything else. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly single_word: boolean;
  readonly lstrip: boolean;
  readonly rstrip: boolean;
  readonly normalized: boolean;
  readonly special: boolean;
}

/** What this package reads of a tokenizer.json. */
export interface TokenizerJson {
  readonly addedTokens: readonly AddedToken[];
  readonly vocab: ReadonlyMap<string, number>;
  readonly merges: readonly (readonly [string, string])[];
  readonly ignoreMerges: boolean;
  /** The whole document, for writing it back. */
  readonly document: Readonly<Record<string, unknown>>;
}

type Json = Readonly<Record<string, unknown>>;

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function broken(what: string, cause?: unknown): QLoraError {
  return new QLoraError(
    'TOKENIZER_JSON',
    `tokenizer.json ${what}; copy the file again from the model's folder or the hub`,
    { cause, details: { reason: what } },
  );
}

function unsupported(what: string): QLoraError {
  return new QLoraError(
    'TOKENIZER_UNSUPPORTED',
    `tokenizer.json ${what}, which qlorajs does not support; it takes byte-level BPE as in GPT-2, CodeGen and Phi-2`,
    { details: { reason: what } },
  );
}

/** Parses a JSON object, or throws `code` with the file's name and what is wrong. */
export function parseObject(text: string, file: string, code: string): Json {
  let value: unknown;
  try {
    value = parseJson(text.replace(/^\ufeff/, ''));
  } catch (cause) {
    throw new QLoraError(
      code,
      `${file} is not JSON (${(cause as Error).message}); copy the file again from the model's folder or the hub`,
      { cause, details: { file } },
    );
  }
  if (!isObject(value)) {
    throw new QLoraError(code, `${file} is not a JSON object; is it the right file?`, {
      details: { file },
    });
  }
  return value;
}

/** Far above any vocabulary: a wild id would cost as much memory as it is high. */
const MAX_IDS = 2 ** 22;

function isId(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) < MAX_IDS;
}

function readVocab(model: Json): Map<string, number> {
  if (!isObject(model.vocab)) throw broken('has no model.vocab');
  const vocab = new Map<string, number>();
  const ids = new Set<number>();
  for (const [token, id] of Object.entries(model.vocab)) {
    if (!isId(id) || ids.has(id)) throw broken(`gives ${JSON.stringify(token)} the id ${id}`);
    vocab.set(token, id);
    ids.add(id);
  }
  const missing = BYTE_CHARACTERS.findIndex((character) => !vocab.has(character));
  if (missing >= 0) throw unsupported(`has no token for the byte ${missing}`);
  return vocab;
}

function readMerges(model: Json, vocab: ReadonlyMap<string, number>): [string, string][] {
  if (!Array.isArray(model.merges)) throw broken('has no model.merges');
  return model.merges.map((merge: unknown, index) => {
    const pair = typeof merge === 'string' ? merge.split(' ') : merge;
    if (!Array.isArray(pair) || pair.length !== 2) throw broken(`has a wrong merge ${index}`);
    const [left, right] = pair.map(String) as [string, string];
    if (![left, right, left + right].every((token) => vocab.has(token))) {
      throw broken(`merges "${left} ${right}", which is not in its vocabulary`);
    }
    return [left, right];
  });
}

function readAddedTokens(value: unknown, vocab: ReadonlyMap<string, number>): AddedToken[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw broken('has a wrong added_tokens');
  const holders = new Map([...vocab].map(([token, id]) => [id, token]));
  return value.map((entry: unknown, index) => {
    if (!isObject(entry) || typeof entry.content !== 'string' || !isId(entry.id)) {
      throw broken(`has a wrong added_tokens[${index}]`);
    }
    const { content, id } = entry;
    const flag = (name: string, missing = false) => Boolean(entry[name] ?? missing);
    const special = flag('special');
    const token: AddedToken = {
      id,
      content,
      single_word: flag('single_word'),
      lstrip: flag('lstrip'),
      rstrip: flag('rstrip'),
      normalized: flag('normalized', !special),
      special,
    };
    if (content === '') throw broken(`has an empty added_tokens[${index}]`);
    if ((holders.get(id) ?? content) !== content || (vocab.get(content) ?? id) !== id) {
      throw broken(
        `gives the added token ${JSON.stringify(content)} an id that its vocabulary denies`,
      );
    }
    holders.set(id, content);
    const odd = (['single_word', 'lstrip', 'rstrip'] as const).find((name) => token[name]);
    if (odd !== undefined) throw unsupported(`has an added token "${content}" with ${odd}`);
    return token;
  });
}

/** Refuses what would change ids or offsets, rather than getting them wrong. */
function checkKind(document: Json, model: Json): void {
  const kind = (name: string) => {
    const part = document[name];
    return isObject(part) ? String(part.type) : null;
  };
  if ((model.type ?? 'BPE') !== 'BPE') throw unsupported(`has a ${model.type} model`);
  if (kind('normalizer') !== null) throw unsupported(`has a ${kind('normalizer')} normalizer`);
  const pre = document.pre_tokenizer;
  if (!isObject(pre) || pre.type !== 'ByteLevel') {
    throw unsupported(`has the pre-tokenizer ${kind('pre_tokenizer')}`);
  }
  if (pre.add_prefix_space === true) throw unsupported('puts a space before the text');
  if (pre.use_regex === false) throw unsupported('does not split words');
  for (const name of ['post_processor', 'decoder']) {
    const found = kind(name);
    if (found !== null && found !== 'ByteLevel') throw unsupported(`has the ${name} ${found}`);
  }
  for (const name of [
    'continuing_subword_prefix',
    'end_of_word_suffix',
    'dropout',
    'byte_fallback',
  ]) {
    if (model[name]) throw unsupported(`sets model.${name}`);
  }
}

/**
 * Reads and checks a tokenizer.json.
 *
 * @throws QLoraError `TOKENIZER_JSON` if it is broken, `TOKENIZER_UNSUPPORTED` if it is of another kind.
 */
export function parseTokenizerJson(text: string): TokenizerJson {
  const document = parseObject(text, 'tokenizer.json', 'TOKENIZER_JSON');
  const { model } = document;
  if (!isObject(model)) throw broken('has no model');
  checkKind(document, model);
  const vocab = readVocab(model);
  return {
    vocab,
    merges: readMerges(model, vocab),
    addedTokens: readAddedTokens(document.added_tokens, vocab),
    ignoreMerges: model.ignore_merges === true,
    document,
  };
}
