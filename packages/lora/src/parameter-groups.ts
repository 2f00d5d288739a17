/**
 * Whether a parameter decays, by its name: all but biases and layer norms, as transformers' Trainer
 * has it (`get_decay_parameter_names`).
 *
 * @example
 * ```ts
 * import { decaysByName } from '@qlorajs/lora';
 *
 * console.log(decaysByName('base_model.model.model.layers.0.mlp.fc1.lora_A.weight')); // true
 * console.log(decaysByName('base_model.model.model.final_layernorm.weight')); // false
 * ```
 */
export function decaysByName(name: string): boolean {
  return !/bias|layernorm|rmsnorm|(?:^|\.)norm(?:$|\.)|_norm(?:$|\.)/.test(name);
}

/**
 * What the learning rate of a parameter is multiplied by in LoRA+ (https://arxiv.org/abs/2402.12354), as
 * PEFT's `create_loraplus_optimizer` groups them: B and vectors by `ratio`, all others by 1.
 *
 * @param ratio Learning rate of B over that of A; from 1 on.
 * @example
 * ```ts
 * import { loraPlusRates } from '@qlorajs/lora';
 *
 * const rate = loraPlusRates(16);
 * console.log(rate('q_proj.lora_A.weight'), rate('q_proj.lora_B.weight')); // 1 16
 * ```
 */
export function loraPlusRates(ratio: number): (name: string) => number {
  return (name) => (/lora_B|lora_magnitude_vector|bias$|layernorm\.weight$/.test(name) ? ratio : 1);
}
