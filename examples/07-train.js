// QLoRA with the packages' own loop: a new adapter learns one answer, and is written as a PEFT folder.
import { compileChatTemplate, TUTOR_CHAT_TEMPLATE } from '@qlorajs/chat-template';
import { collate, readJsonl, tokenizeRows } from '@qlorajs/dataset';
import { createAdapter, defaultLoraConfig, exportPeftAdapter } from '@qlorajs/lora';
import { createAdamW } from '@qlorajs/paged-optim';
import { fit } from '@qlorajs/trainer';
import { loadModel, tokenizer } from './phi-nano.js';

const row =
  '{"messages":[{"role":"user","content":"¿Qué es una pila?"},{"role":"assistant","content":"Una torre de platos."}]}';
const { rows } = readJsonl(new TextEncoder().encode(row), { file: 'chats.jsonl' });
const { examples } = tokenizeRows(rows, {
  file: 'chats.jsonl',
  tokenizer,
  template: compileChatTemplate(TUTOR_CHAT_TEMPLATE),
  trainOn: 'assistant',
  maxSeqLength: 512,
  truncation: 'error',
});
const batch = collate(examples, { padId: tokenizer.padId, multipleOf: 8 });

const { backend, model } = await loadModel();
const config = defaultLoraConfig({ r: 8, loraAlpha: 16, targetModules: ['q_proj', 'v_proj'] });
const adapter = createAdapter(backend, config, model.modules, { seed: 42 });
model.attach(adapter);

const losses = [];
await fit(
  {
    model,
    optimizer: createAdamW(backend, adapter.parameters()),
    train: {
      batchesPerEpoch: 1,
      batches: () => [batch],
      trainedTokens: () => batch.trainedTokens,
      tokens: () => batch.inputIds.length,
    },
    ...{ learningRate: 5e-3, schedule: 'constant', warmupSteps: 0, epochs: 8 },
    ...{ gradientAccumulationSteps: 1, seed: 42 },
  },
  { onStep: ({ loss }) => losses.push(loss) },
);
console.log(losses.at(-1) < losses[0] / 2); // true
console.log(Object.keys(await exportPeftAdapter(adapter)).join(' ')); // adapter_config.json adapter_model.safetensors
await backend.dispose();
