import { readFileSync } from 'node:fs';
import { compileChatTemplate, TUTOR_CHAT_TEMPLATE, TUTOR_MARKERS } from '@qlorajs/chat-template';
import { loadTokenizer } from '@qlorajs/tokenizer';
import type { TokenizeOptions } from '../src/index.js';

function read(name: string): string {
  return readFileSync(new URL(`../../phi-nano/model/${name}`, import.meta.url), 'utf8');
}

/** phi-nano's tokenizer with the tutor's markers on its spare rows. */
export const tokenizer = loadTokenizer({
  tokenizerJson: read('tokenizer.json'),
  tokenizerConfig: read('tokenizer_config.json'),
}).addTokens(TUTOR_MARKERS, { limit: 8256 });

export const template = compileChatTemplate(TUTOR_CHAT_TEMPLATE);

/** Options that refuse nothing. */
export const options: TokenizeOptions = {
  file: 'data.jsonl',
  tokenizer,
  template,
  trainOn: 'assistant',
  maxSeqLength: Number.POSITIVE_INFINITY,
  truncation: 'error',
  vocabSize: 8256,
};
