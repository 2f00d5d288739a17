// The loop written out: gradients of a QLoRA step, clipped AdamW, and a stop when the loss is low.
import { createAdapter, defaultLoraConfig } from '@qlorajs/lora';
import { createAdamW } from '@qlorajs/paged-optim';
import { loadModel, tokenizer } from './phi-nano.js';

const { ids } = tokenizer.encode('Una cola atiende primero a quien llegó primero.');
const batch = {
  inputIds: Int32Array.from(ids),
  labels: Int32Array.from(ids), // everything is trained; -100 would leave a token out
  ...{ batchSize: 1, length: ids.length, lengths: Int32Array.of(ids.length) },
};
const { backend, model } = await loadModel();
const config = defaultLoraConfig({
  r: 4,
  loraAlpha: 8,
  targetModules: ['q_proj', 'v_proj', 'fc2'],
});
const adapter = createAdapter(backend, config, model.modules, { seed: 7 });
model.attach(adapter);
const optimizer = createAdamW(backend, adapter.parameters(), { maxGradNorm: 1, weightDecay: 0 });

const trainedTokens = ids.length - 1; // the first token has nothing before it
let loss = Number.POSITIVE_INFINITY;
let step = 0;
while (loss > 1 && step < 40) {
  optimizer.zeroGrad();
  const { lossSum } = await model.forwardBackward(batch, {
    normalizer: trainedTokens,
    dropoutSeed: null,
  });
  loss = lossSum / trainedTokens;
  const rate = 1e-2 * Math.min(1, (step + 1) / 5); // a warm-up of five steps
  await optimizer.step(rate);
  step++;
}
console.log(loss < 1, step < 40); // true true
await backend.dispose();
