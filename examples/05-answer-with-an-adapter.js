// A PEFT folder on a quantized base: the SQL helper answers, and stops by itself.

import { readFileSync } from 'node:fs';
import { compileChatTemplate } from '@qlorajs/chat-template';
import { loadAdapter, readPeftAdapter } from '@qlorajs/lora';
import { personalities } from '@qlorajs/personalities';
import { generate } from '@qlorajs/phi2-model';
import { config, folderOf, loadModel, tokenizer } from './phi-nano.js';

const sql = personalities.find(({ name }) => name === 'sql');
const { backend, model } = await loadModel();
const files = await readPeftAdapter(folderOf(sql.adapter));
const embedding = { vocabSize: config.vocabSize, hiddenSize: config.hiddenSize, tied: false };
model.attach(loadAdapter(backend, files, model.modules, { embedding, savable: model.savable }));

const template = compileChatTemplate(
  readFileSync(new URL('chat_template.jinja', sql.adapter), 'utf8'),
);
const chat = [{ role: 'user', content: sql.questions[0] }];
const { ids } = tokenizer.encode(template.render(chat, { addGenerationPrompt: true }).text);
const stopIds = [tokenizer.idOf('<|end|>')];
const answer = [];
for await (const { id } of generate(model, ids, { maxNewTokens: 80, stopIds })) answer.push(id);
console.log(/SELECT/.test(tokenizer.decode(answer))); // true
await backend.dispose();
