import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers';
import { QLoraError } from '@qlorajs/errors';
import { exactPreTokenizer } from './byte-level.js';
import { readTokenizerConfig, type TokenizerConfig } from './config.js';
import {
  createStreamDecoder,
  type DecodeOptions,
  decodeIds,
  type StreamDecoder,
} from './decode.js';
import { type FilesOptions, tokenizerFiles } from './files.js';
import { type Offset, tokenOffsets } from './offsets.js';
import { layOutBytes } from './token-bytes.js';
import { type AddedToken, parseTokenizerJson, type TokenizerJson } from './tokenizer-json.js';

/** The texts of a model folder's tokenizer files. */
export interface TokenizerFiles {
  readonly tokenizerJson: string;
  /** Says which tokens are bos, eos, unk and pad. Without it `<|endoftext|>` is, if there is one. */
  readonly tokenizerConfig?: string;
  /** chat_template.jinja; wins over the one in tokenizer_config.json. */
  readonly chatTemplate?: string;
}

/** A text as tokens. */
export interface Encoding {
  readonly ids: number[];
  /** UTF-16 offsets of each token in the text; a token that is part of a character covers all of it. */
  readonly offsets: readonly Offset[];
}

/** A byte-level BPE tokenizer, immutable. */
export interface Tokenizer {
  /** Highest id + 1. The model's embedding often has more rows. */
  readonly size: number;
  readonly bosToken: string | null;
  readonly eosToken: string | null;
  readonly eosId: number | null;
  /** The pad token's id; without one the eos token's, else 0. */
  readonly padId: number;
  readonly chatTemplate: string | null;
  /**
   * Tokens of a text, with no bos or eos added. The names of added tokens become those tokens
   * wherever they stand. A lone surrogate counts as U+FFFD, as it does in UTF-8.
   */
  encode(text: string): Encoding;
  /** The text of tokens. Ids without a token give nothing, broken UTF-8 gives U+FFFD. */
  decode(ids: Iterable<number>, options?: DecodeOptions): string;
  /** The id of a token as it is written in the vocabulary (`Ġhello` is " hello"). */
  idOf(token: string): number | undefined;
  tokenOf(id: number): string | undefined;
  streamDecoder(options?: DecodeOptions): StreamDecoder;
  /**
   * A tokenizer with further special tokens, on the first ids after the highest. Tokens that exist
   * keep their ids.
   *
   * @throws QLoraError `TOKENIZER_NO_SPARE_IDS` if an id would reach `limit`, the rows of the model's embedding.
   */
  addTokens(tokens: readonly string[], options: { readonly limit: number }): Tokenizer;
  /**
   * The files that transformers writes for this tokenizer, by name: tokenizer.json, vocab.json,
   * merges.txt, added_tokens.json, special_tokens_map.json, tokenizer_config.json and, if there is
   * a template, chat_template.jinja.
   */
  files(options?: FilesOptions): Record<string, string>;
}

/** The library's tokenizer, set up to give the ids of the Rust tokenizers. */
function encoderOf(json: TokenizerJson): HuggingFaceTokenizer {
  const model = { ...(json.document.model as object), type: 'BPE', merges: json.merges };
  const encoder = new HuggingFaceTokenizer(
    {
      // Without a normalizer the library looks for all added tokens in one pass, Rust in two:
      // those with normalized=false go first. One that does nothing brings the second pass back.
      normalizer: { type: 'Sequence', normalizers: [] },
      pre_tokenizer: null,
      model,
      post_processor: null,
      decoder: null,
      added_tokens: json.addedTokens,
    },
    {},
  );
  encoder.pre_tokenizer = exactPreTokenizer();
  return encoder;
}

function encodeText(encoder: HuggingFaceTokenizer, text: string): number[] {
  try {
    return encoder.encode(text, { add_special_tokens: false }).ids;
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new QLoraError(
      'TOKENIZER_TEXT',
      `A text of ${text.length} characters has a word of millions, which the regular expression that splits words cannot take; is it text?`,
      { cause, details: { length: text.length } },
    );
  }
}

function extend(json: TokenizerJson, tokens: readonly string[], limit: number): TokenizerJson {
  const addedTokens: AddedToken[] = [...json.addedTokens];
  let next =
    1 +
    [...json.vocab.values(), ...addedTokens.map(({ id }) => id)].reduce((a, b) => Math.max(a, b));
  for (const content of tokens) {
    if (content === '')
      throw new QLoraError(
        'TOKENIZER_EMPTY_TOKEN',
        'An added token is empty; give it a name such as "<|end|>"',
      );
    if (addedTokens.some((token) => token.content === content)) continue;
    const id = json.vocab.get(content) ?? next++;
    if (id >= limit) {
      throw new QLoraError(
        'TOKENIZER_NO_SPARE_IDS',
        `No id is left for "${content}": the model's embedding has ${limit} rows; add fewer tokens or use tokens that exist`,
        { details: { token: content, id, limit } },
      );
    }
    const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false };
    addedTokens.push({ id, content, ...flags, special: true });
  }
  return { ...json, addedTokens };
}

function createTokenizer(
  json: TokenizerJson,
  config: TokenizerConfig,
  chatTemplate: string | null,
): Tokenizer {
  const encoder = encoderOf(json);
  const tokens = layOutBytes(json.vocab, json.addedTokens);
  const special = new Set(json.addedTokens.filter((token) => token.special).map(({ id }) => id));
  const nothing: ReadonlySet<number> = new Set();
  const skipped = (options?: DecodeOptions) => (options?.skipSpecialTokens ? special : nothing);
  const { bos_token: bosToken, eos_token: eosToken, pad_token: padToken } = config.roles;
  const idOf = (token: string) => encoder.token_to_id(token);
  const eosId = eosToken === null ? null : (idOf(eosToken) ?? null);

  return {
    size: tokens.size,
    bosToken,
    eosToken,
    eosId,
    padId: (padToken === null ? null : idOf(padToken)) ?? eosId ?? 0,
    chatTemplate,
    encode(text) {
      // As long as the text in UTF-16 units, so offsets hold for both.
      const wellFormed = text.replace(/\p{Surrogate}/gu, '\ufffd');
      const ids = encodeText(encoder, wellFormed);
      return { ids, offsets: tokenOffsets(wellFormed, ids, tokens) };
    },
    decode: (ids, options) => decodeIds(ids, tokens, skipped(options)),
    idOf,
    tokenOf: (id) => encoder.id_to_token(id),
    streamDecoder: (options) => createStreamDecoder(tokens, skipped(options)),
    addTokens: (names, { limit }) =>
      createTokenizer(extend(json, names, limit), config, chatTemplate),
    files: (options = {}) =>
      tokenizerFiles(
        json,
        config,
        options.chatTemplate ?? chatTemplate,
        options.modelMaxLength ?? config.modelMaxLength,
      ),
  };
}

/**
 * Loads a byte-level BPE tokenizer (GPT-2, CodeGen, Phi-2, phi-nano) from its Hugging Face files.
 * Ids and offsets are those of the Rust tokenizers.
 *
 * @throws QLoraError `TOKENIZER_JSON` or `TOKENIZER_CONFIG` if a file is broken,
 * `TOKENIZER_UNSUPPORTED` if the tokenizer is of another kind.
 */
export function loadTokenizer(files: TokenizerFiles): Tokenizer {
  const json = parseTokenizerJson(files.tokenizerJson);
  const known = new Set(json.addedTokens.map(({ content }) => content));
  const config = readTokenizerConfig(
    files.tokenizerConfig,
    (token) => known.has(token) || json.vocab.has(token),
  );
  return createTokenizer(json, config, files.chatTemplate ?? config.chatTemplate);
}
