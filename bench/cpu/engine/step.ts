import type { Backend } from '@qlorajs/compute';
import { createAdapter, defaultLoraConfig } from '@qlorajs/lora';
import { createAdamW } from '@qlorajs/paged-optim';
import { timed } from './measure.js';
import { OpTimes } from './op-times.js';
import { openPhi, tokenIds } from './phi.js';

export interface StepOptions {
  readonly folder: string;
  readonly weights: 'nf4' | 'f32';
  readonly batchSize: number;
  readonly length: number;
  readonly r: number;
}

/** Forward, backward and AdamW of one batch, with gradient checkpointing. */
export async function stepPart(backend: Backend, options: StepOptions) {
  const { folder, weights, batchSize, length, r } = options;
  const model = await openPhi(backend, folder, weights);
  const targetModules = ['q_proj', 'k_proj', 'v_proj', 'dense'];
  const lora = defaultLoraConfig({ r, loraAlpha: 2 * r, loraDropout: 0, targetModules });
  const adapter = createAdapter(backend, lora, model.modules, { seed: 1 });
  model.attach(adapter);
  const parameters = adapter.parameters();
  const optimizer = createAdamW(backend, parameters, { maxGradNorm: 1 });
  const inputIds = tokenIds(batchSize * length, 8192);
  const lengths = new Int32Array(batchSize).fill(length);
  const batch = { inputIds, labels: inputIds, lengths, batchSize, length };
  const normalizer = batchSize * (length - 1);

  const step = async () => {
    optimizer.zeroGrad();
    const { readback } = optimizer;
    const training = { normalizer, dropoutSeed: null, gradientCheckpointing: true, readback };
    const { lossSum } = await model.forwardBackward(batch, training);
    await optimizer.step(2e-4);
    await backend.sync();
    return (await lossSum) / normalizer;
  };
  return {
    facts: {
      trainable: parameters.reduce((sum, { value }) => sum + value.size, 0),
      weightBytes: model.weightBytes,
    },
    async sample() {
      const { value: loss, ...timing } = await timed(step);
      return { ...timing, loss };
    },
    /** One step with every operation timed: this engine's calls return when the work is done. */
    async profile() {
      const times = new OpTimes(backend);
      const { ms } = await timed(step);
      return { ms, ops: times.stop() };
    },
  };
}
