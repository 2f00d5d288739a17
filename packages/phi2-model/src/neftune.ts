import { counterKey, counterUniform, type Tensor } from '@qlorajs/compute';
import type { Pass } from './pass.js';
import { firstElement } from './projection.js';

/** Above every stream of a layer's masks. */
const STREAM = 0x4e4654;

/**
 * Adds NEFTune's noise to embeddings (https://arxiv.org/abs/2310.05914; transformers' hook): uniform in
 * (-m, m) with m = alpha / sqrt(T C), from the counters of this micro-batch's dropout seed. Nothing
 * without a seed, that is outside of training.
 * @param embedded f32 `[B * T, C]`
 */
export function addNeftuneNoise(pass: Pass, embedded: Tensor, alpha: number): void {
  if (alpha === 0 || pass.dropoutSeed === null) return;
  const magnitude = alpha / Math.sqrt(pass.length * pass.config.hiddenSize);
  const key = counterKey(pass.dropoutSeed, STREAM);
  const first = firstElement(pass, embedded);
  const values = new Float32Array(embedded.size);
  for (let i = 0; i < values.length; i++)
    values[i] = (2 * counterUniform(key, first + i) - 1) * magnitude;
  const noise = pass.workspace.get('neftune', embedded.shape);
  pass.backend.write(noise, values);
  pass.backend.ops.axpby({ x: noise, out: embedded, alpha: 1, beta: 1 });
}
