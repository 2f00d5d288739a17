// Two personalities on one resident base: changing voices copies nothing but a pointer.
import { loadAdapter, readPeftAdapter } from '@qlorajs/lora';
import { personalities } from '@qlorajs/personalities';
import { config, folderOf, loadModel, tokenizer } from './phi-nano.js';

const { backend, model } = await loadModel();
const embedding = { vocabSize: config.vocabSize, hiddenSize: config.hiddenSize, tied: false };
const shapes = { embedding, savable: model.savable };
const before = backend.memory().live;
const voices = [];
for (const { adapter } of personalities.slice(1))
  voices.push(
    loadAdapter(backend, await readPeftAdapter(folderOf(adapter)), model.modules, shapes),
  );
console.log(backend.memory().live - before < before / 4); // true

const { ids } = tokenizer.encode('<|user|>\nHola<|end|>\n<|assistant|>\n');
const batch = {
  inputIds: Int32Array.from(ids),
  batchSize: 1,
  length: ids.length,
  lengths: Int32Array.of(ids.length),
};
const logits = [];
for (const voice of [null, ...voices]) {
  model.attach(voice);
  logits.push((await model.logits(batch)).at(-1));
}
console.log(new Set(logits).size); // 3
await backend.dispose();
