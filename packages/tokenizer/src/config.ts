import { QLoraError } from '@qlorajs/errors';
import { parseObject } from './tokenizer-json.js';

/** The roles that special tokens play in Hugging Face's files. */
export const ROLES = ['bos_token', 'eos_token', 'unk_token', 'pad_token'] as const;
type Role = (typeof ROLES)[number];

/** What this package reads of a tokenizer_config.json. */
export interface TokenizerConfig {
  readonly roles: Readonly<Record<Role, string | null>>;
  readonly chatTemplate: string | null;
  readonly modelMaxLength: number | null;
  /** The whole document, for writing it back. */
  readonly document: Readonly<Record<string, unknown>>;
}

/** Classes of transformers whose special tokens are `<|endoftext|>` unless the file says otherwise. */
const GPT2_FAMILY = /^(GPT2|CodeGen)Tokenizer(Fast)?$/;

function contentOf(value: unknown): string | null {
  if (typeof value === 'string') return value;
  if (typeof value === 'object' && value !== null && 'content' in value) {
    return typeof value.content === 'string' ? value.content : null;
  }
  return null;
}

/** One template, or the one named `default` of several. */
function chatTemplateOf(value: unknown): string | null {
  if (typeof value === 'string') return value;
  if (!Array.isArray(value)) return null;
  const named = value as { name?: unknown; template?: unknown }[];
  const chosen = named.find(({ name }) => name === 'default');
  return typeof chosen?.template === 'string' ? chosen.template : null;
}

/**
 * Reads a tokenizer_config.json, or takes the defaults of Phi-2's family where there is none.
 *
 * @throws QLoraError `TOKENIZER_CONFIG` if it is not a JSON object or names a token that `has` denies.
 */
export function readTokenizerConfig(
  text: string | undefined,
  has: (token: string) => boolean,
): TokenizerConfig {
  const document =
    text === undefined ? {} : parseObject(text, 'tokenizer_config.json', 'TOKENIZER_CONFIG');
  const family = text === undefined || GPT2_FAMILY.test(String(document.tokenizer_class));
  const usual = family && has('<|endoftext|>') ? '<|endoftext|>' : null;
  const role = (name: Role): string | null => {
    const token = contentOf(document[name]);
    if (token === null) return name in document || name === 'pad_token' ? null : usual;
    if (has(token)) return token;
    throw new QLoraError(
      'TOKENIZER_CONFIG',
      `tokenizer_config.json names "${token}" as its ${name}, but tokenizer.json has no such token; take both files from the same model`,
      { details: { role: name, token } },
    );
  };
  const length = document.model_max_length;
  return {
    roles: {
      bos_token: role('bos_token'),
      eos_token: role('eos_token'),
      unk_token: role('unk_token'),
      pad_token: role('pad_token'),
    },
    chatTemplate: chatTemplateOf(document.chat_template),
    // transformers writes 1e30 where there is no limit.
    modelMaxLength: typeof length === 'number' && length < 1e12 ? length : null,
    document,
  };
}
