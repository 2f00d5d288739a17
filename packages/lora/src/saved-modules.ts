import { QLoraError } from '@qlorajs/errors';
import type { LoraConfig } from './config.js';
import type { PlannedTensor } from './planned-tensor.js';

/** A module outside of the adapted linear layers that can be trained whole (PEFT's `modules_to_save`). */
export interface SavableModule {
  /** `lm_head`, `model.embed_tokens`, `model.layers.0.input_layernorm` */
  readonly name: string;
  /** Shapes by parameter name: `weight`, `bias`. */
  readonly parameters: Readonly<Record<string, readonly number[]>>;
}

/** A module of which the adapter holds a trained copy. */
export interface PlannedModule {
  readonly name: string;
  readonly parameters: Readonly<Record<string, PlannedTensor>>;
}

/** PEFT's rule: a name in the list is the end of a module's name. */
function isNamed(module: string, names: readonly string[]): boolean {
  return names.some((name) => module.endsWith(name));
}

/**
 * The modules that the configuration trains whole.
 * @param linears names of the adapted linear layers, which cannot be
 * @throws QLoraError `LORA_CONFIG` for a name that fits nothing, or a quantized linear layer
 */
export function planModules(
  config: LoraConfig,
  savable: readonly SavableModule[] | undefined,
  linears: readonly string[],
): PlannedModule[] {
  const { modulesToSave } = config;
  if (modulesToSave === null || modulesToSave.length === 0) return [];
  if (savable === undefined)
    throw new QLoraError(
      'LORA_CONFIG',
      'the configuration has modules_to_save: pass `savable`, the modules of the base that can be trained whole',
    );
  for (const name of modulesToSave) {
    const isLinear = linears.some((each) => isNamed(each, [name]));
    if (!isLinear && savable.some((module) => isNamed(module.name, [name]))) continue;
    const ends = [
      ...new Set(savable.map((each) => each.name.slice(each.name.lastIndexOf('.') + 1))),
    ];
    throw new QLoraError(
      'LORA_CONFIG',
      `modules_to_save names ${JSON.stringify(name)}, ${isLinear ? 'a linear layer of the blocks, which stays frozen: put it in target_modules' : `which fits no module; the base has ${ends.join(', ')}`}`,
      { details: { module: name, available: savable.map((each) => each.name) } },
    );
  }
  return savable
    .filter((module) => isNamed(module.name, modulesToSave))
    .map(({ name, parameters }) => ({
      name,
      parameters: Object.fromEntries(
        Object.entries(parameters).map(([each, shape]) => [
          each,
          { key: `base_model.model.${name}.${each}`, shape },
        ]),
      ),
    }));
}
