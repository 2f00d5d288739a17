// Rows of a JSONL file become tokens and labels: what is not trained has the label -100.
import { compileChatTemplate, TUTOR_CHAT_TEMPLATE } from '@qlorajs/chat-template';
import { collate, formatRowError, markTrained, readJsonl, tokenizeRows } from '@qlorajs/dataset';
import { tokenizer } from './phi-nano.js';

const file = `{"messages":[{"role":"user","content":"¿Qué es una cola?"},{"role":"assistant","content":"Lo primero que entra sale primero."}]}
{"messages":[{"role":"user"}]}`;
const { rows, errors } = readJsonl(new TextEncoder().encode(file), { file: 'chats.jsonl' });
console.log(formatRowError(errors[0])); // chats.jsonl:2: messages[0].content is missing; add it as text

const { examples } = tokenizeRows(rows, {
  file: 'chats.jsonl',
  tokenizer,
  template: compileChatTemplate(TUTOR_CHAT_TEMPLATE),
  trainOn: 'assistant',
  maxSeqLength: 512,
  truncation: 'error',
});
const trained = markTrained(examples[0], tokenizer).filter((segment) => segment.trained);
console.log(trained.map(({ text }) => text).join('')); // Lo primero que entra sale primero.<|end|>
const batch = collate(examples, { padId: tokenizer.padId, multipleOf: 8 });
console.log(batch.length % 8, batch.trainedTokens); // 0 8
