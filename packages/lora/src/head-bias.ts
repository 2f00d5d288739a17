import type { LoraConfig } from './config.js';

/**
 * Whether PEFT computes the head of this adapter without the base's `lm_head.bias`. PEFT up to 0.21
 * does so while a head with trained rows is not merged (huggingface/peft#3649), in training as in
 * inference, so an adapter that was trained there is only itself without that bias.
 *
 * @example
 * ```ts
 * import { defaultLoraConfig, dropsHeadBias } from '@qlorajs/lora';
 *
 * const plain = defaultLoraConfig({ targetModules: ['q_proj'] });
 * console.log(dropsHeadBias(plain)); // false
 * console.log(dropsHeadBias({ ...plain, trainableTokenIndices: { lm_head: [50295] } })); // true
 * ```
 */
export function dropsHeadBias(config: LoraConfig): boolean {
  const { trainableTokenIndices, peftVersion } = config;
  const trainsHead =
    trainableTokenIndices !== null &&
    !Array.isArray(trainableTokenIndices) &&
    'lm_head' in trainableTokenIndices;
  // Configurations older than 0.18 do not name their version.
  const [major, minor] = (peftVersion ?? '0.0').split('.').map(Number);
  return trainsHead && major === 0 && minor <= 21;
}
