import { counterKey, counterNormal, counterUniform, sizeOf } from '@qlorajs/compute';
import type { LoraConfig } from './config.js';
import type { PlannedLinear } from './plan.js';
import type { PlannedTensor } from './planned-tensor.js';

/** FNV-1a of a name: the stream of its own, so that values do not depend on the order of modules. */
function streamOf(name: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < name.length; i++)
    hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193) >>> 0;
  return hash;
}

function draw(
  { key, shape }: PlannedTensor,
  seed: number,
  value: (key: ReturnType<typeof counterKey>, index: number) => number,
): Float32Array {
  const counter = counterKey(seed, streamOf(key));
  return Float32Array.from({ length: sizeOf(shape) }, (_, i) => value(counter, i));
}

/** torch's nn.Linear, kaiming_uniform_(a = sqrt 5): uniform in (-1, 1) / sqrt(in), in = the last dimension. */
function uniform(tensor: PlannedTensor, seed: number): Float32Array {
  const bound = 1 / Math.sqrt(tensor.shape[1]!);
  return draw(tensor, seed, (key, i) => (2 * counterUniform(key, i) - 1) * bound);
}

/**
 * First values of A `[rank, in]` and B `[out, rank]` (LoRA, section 4.1; PEFT, `init_lora_weights`),
 * by their keys, to be drawn: B is zero, so that a new adapter changes nothing, unless
 * `initLoraWeights` is false.
 */
export function initialMatrices(
  { a, b, rank }: PlannedLinear,
  init: LoraConfig['initLoraWeights'],
  seed: number,
): [key: string, draw: () => Float32Array][] {
  const normal = () => draw(a, seed, (key, i) => counterNormal(key, i) / rank);
  return [
    [a.key, init === 'gaussian' ? normal : () => uniform(a, seed)],
    [b.key, init === false ? () => uniform(b, seed) : () => new Float32Array(sizeOf(b.shape))],
  ];
}
