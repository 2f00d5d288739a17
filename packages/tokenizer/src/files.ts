import { ROLES, type TokenizerConfig } from './config.js';
import type { AddedToken, TokenizerJson } from './tokenizer-json.js';

/** Options of `Tokenizer.files`. */
export interface FilesOptions {
  /** Written to chat_template.jinja and tokenizer_config.json; default the tokenizer's own. */
  readonly chatTemplate?: string;
  /** `model_max_length`, in tokens; default what tokenizer_config.json said. */
  readonly modelMaxLength?: number;
}

/** Classes that every transformers since 4.37 knows and that give the ids of tokenizer.json. */
const PORTABLE_CLASS = /^((GPT2|CodeGen)Tokenizer(Fast)?|PreTrainedTokenizerFast)$/;
const FALLBACK_CLASS = 'PreTrainedTokenizerFast';

/** JSON with sorted keys, indented by two, as `json.dumps(…, indent=2, sort_keys=True)` writes it. */
function sortedJson(value: object): string {
  const sorted = (_key: string, item: unknown): unknown =>
    typeof item === 'object' && item !== null && !Array.isArray(item)
      ? Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : 1)))
      : item;
  return `${JSON.stringify(value, sorted, 2)}\n`;
}

/** A vocabulary as JSON in the order of its ids; an object would put tokens such as "7" first. */
function vocabJson(vocab: ReadonlyMap<string, number>, indent: string, space: string): string {
  const entries = [...vocab].sort(([, a], [, b]) => a - b);
  const lines = entries.map(([token, id]) => `${indent}${JSON.stringify(token)}:${space}${id}`);
  return lines.join(indent === '' ? ',' : ',\n');
}

/** Stands for the vocabulary until its text is put in; no token has control characters. */
const PLACEHOLDER = '\u0000vocab';

/** tokenizer.json as the Rust tokenizers write it. */
export function tokenizerJsonText(json: TokenizerJson): string {
  const model = json.document.model as Record<string, unknown>;
  const { version, post_processor, decoder, pre_tokenizer } = json.document;
  const text = JSON.stringify(
    {
      version: version ?? '1.0',
      truncation: null,
      padding: null,
      added_tokens: [...json.addedTokens].sort((a, b) => a.id - b.id),
      normalizer: null,
      pre_tokenizer,
      post_processor: post_processor ?? null,
      decoder: decoder ?? null,
      model: {
        type: 'BPE',
        dropout: null,
        unk_token: model.unk_token ?? null,
        continuing_subword_prefix: model.continuing_subword_prefix ?? null,
        end_of_word_suffix: model.end_of_word_suffix ?? null,
        fuse_unk: model.fuse_unk ?? false,
        byte_fallback: false,
        ignore_merges: json.ignoreMerges,
        vocab: PLACEHOLDER,
        merges: json.merges,
      },
    },
    null,
    2,
  );
  const vocab = `{\n${vocabJson(json.vocab, '      ', ' ')}\n    }`;
  return text.replace(JSON.stringify(PLACEHOLDER), () => vocab);
}

function flags({ lstrip, normalized, rstrip, single_word }: AddedToken): Record<string, boolean> {
  return { lstrip, normalized, rstrip, single_word };
}

/** bos, eos, unk and pad by their role, and the other special tokens in a list. */
function specialTokens(
  json: TokenizerJson,
  config: TokenizerConfig,
): { roles: Record<string, string>; additional: string[] } {
  const roles: Record<string, string> = {};
  for (const role of ROLES) if (config.roles[role] !== null) roles[role] = config.roles[role];
  const named = new Set(Object.values(roles));
  const additional = json.addedTokens
    .filter(({ special, content }) => special && !named.has(content))
    .map(({ content }) => content);
  return { roles, additional };
}

function configText(
  json: TokenizerJson,
  config: TokenizerConfig,
  chatTemplate: string | null,
  modelMaxLength: number | null,
): string {
  // `backend` and a list of `extra_special_tokens` are transformers 5's; the older names serve both.
  const {
    backend: _,
    extra_special_tokens: extra,
    tokenizer_class: name,
    ...source
  } = config.document;
  const { roles, additional } = specialTokens(json, config);
  const decoder = json.addedTokens.map((token) => [
    token.id,
    { content: token.content, ...flags(token), special: token.special },
  ]);
  return sortedJson({
    add_prefix_space: false,
    clean_up_tokenization_spaces: false,
    ...source,
    ...(extra !== undefined && !Array.isArray(extra) && { extra_special_tokens: extra }),
    added_tokens_decoder: Object.fromEntries(decoder),
    ...roles,
    ...(additional.length > 0 && { additional_special_tokens: additional }),
    ...(modelMaxLength !== null && { model_max_length: modelMaxLength }),
    ...(chatTemplate !== null && { chat_template: chatTemplate }),
    tokenizer_class: PORTABLE_CLASS.test(String(name)) ? name : FALLBACK_CLASS,
  });
}

function specialTokensMapText(json: TokenizerJson, config: TokenizerConfig): string {
  const { roles, additional } = specialTokens(json, config);
  const described = (content: string) => {
    const token = json.addedTokens.find((each) => each.content === content);
    return token === undefined ? content : { content, ...flags(token) };
  };
  return sortedJson({
    ...Object.fromEntries(Object.entries(roles).map(([role, token]) => [role, described(token)])),
    ...(additional.length > 0 && { additional_special_tokens: additional.map(described) }),
  });
}

/** Every file that transformers may want of a GPT-2-like tokenizer, by name. */
export function tokenizerFiles(
  json: TokenizerJson,
  config: TokenizerConfig,
  chatTemplate: string | null,
  modelMaxLength: number | null,
): Record<string, string> {
  const outside = json.addedTokens.filter(({ content }) => !json.vocab.has(content));
  const merges = json.merges.map((pair) => `${pair.join(' ')}\n`).join('');
  return {
    'tokenizer.json': tokenizerJsonText(json),
    'vocab.json': `{${vocabJson(json.vocab, '', '')}}`,
    'merges.txt': `#version: 0.2\n${merges}`,
    'added_tokens.json': sortedJson(
      Object.fromEntries(outside.map(({ content, id }) => [content, id])),
    ),
    'special_tokens_map.json': specialTokensMapText(json, config),
    'tokenizer_config.json': configText(json, config, chatTemplate, modelMaxLength),
    ...(chatTemplate !== null && { 'chat_template.jinja': chatTemplate }),
  };
}
