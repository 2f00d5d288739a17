import { QLoraError } from '@qlorajs/errors';
import type { GgufMetadata, GgufValue } from './metadata.js';

/** What a GGUF file says about text. */
export interface GgufTokenizer {
  /** The text of tokenizer.json: byte-level BPE. */
  readonly tokenizerJson: string;
  /** Rows of the embedding: ids without a token get a name that no text has. */
  readonly vocabSize: number;
  readonly bosId: number | null;
  readonly eosId: number | null;
  /** Ends a turn, if that is another token. */
  readonly endOfTurnId: number | null;
  readonly chatTemplate: string | null;
}

/** llama.cpp's kinds of tokens. */
const KIND = { normal: 1, control: 3, userDefined: 4, unused: 5 } as const;

interface TokenizerDocument {
  readonly model: {
    readonly type: string;
    readonly vocab: Readonly<Record<string, number>>;
    readonly merges: readonly (string | readonly [string, string])[];
  };
  readonly added_tokens: readonly { id: number; content: string; special: boolean }[];
}

/**
 * `tokenizer.ggml.*`. GPT-2's way of splitting text, which llama.cpp calls `phi-2` here, is the one of
 * Phi's tokenizers and of phi-nano's.
 * @throws QLoraError `GGUF_TOKENIZER` for anything but byte-level BPE
 */
export function tokenizerMetadata(source: GgufTokenizer): GgufMetadata {
  const { model, added_tokens } = JSON.parse(source.tokenizerJson) as TokenizerDocument;
  if (model?.type !== 'BPE')
    throw new QLoraError(
      'GGUF_TOKENIZER',
      'tokenizer.json is not BPE; give the tokenizer of a Phi model',
    );
  const tokens = Array.from({ length: source.vocabSize }, (_, id) => `[PAD${id}]`);
  const kinds = new Array<number>(source.vocabSize).fill(KIND.unused);
  for (const [token, id] of Object.entries(model.vocab)) {
    tokens[id] = token;
    kinds[id] = KIND.normal;
  }
  for (const { id, content, special } of added_tokens) {
    tokens[id] = content;
    kinds[id] = special ? KIND.control : KIND.userDefined;
  }
  const id = (key: string, value: number | null): [string, GgufValue][] =>
    value === null ? [] : [[`tokenizer.ggml.${key}`, { type: 'u32', value }]];
  return new Map<string, GgufValue>([
    ['tokenizer.ggml.model', { type: 'string', value: 'gpt2' }],
    ['tokenizer.ggml.pre', { type: 'string', value: 'phi-2' }],
    ['tokenizer.ggml.tokens', { type: 'strings', value: tokens }],
    ['tokenizer.ggml.token_type', { type: 'i32s', value: kinds }],
    [
      'tokenizer.ggml.merges',
      {
        type: 'strings',
        value: model.merges.map((each) => (typeof each === 'string' ? each : each.join(' '))),
      },
    ],
    ...id('bos_token_id', source.bosId),
    ...id('eos_token_id', source.eosId),
    ...id('eot_token_id', source.endOfTurnId),
    ['tokenizer.ggml.add_bos_token', { type: 'bool', value: false }],
    ...(source.chatTemplate === null
      ? []
      : [
          ['tokenizer.chat_template', { type: 'string', value: source.chatTemplate }] as [
            string,
            GgufValue,
          ],
        ]),
  ]);
}
