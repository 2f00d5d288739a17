import { sizeOf } from '@qlorajs/compute';
import {
  defaultLoraConfig,
  type LoraConfig,
  matchTargets,
  rankAndScaling,
  unmatchedTargets,
} from '@qlorajs/lora';
import { phiModules, phiSavableModules } from '@qlorajs/phi2-model';
import type { Base } from '../base.js';
import type { Notices } from '../notices.js';
import type { TrainingOptions } from '../options/training-options.js';

/**
 * The configuration of a new adapter, checked against the base.
 * @param addedIds tokens whose embedding and head rows are trained
 * @throws QLoraError `LORA_NO_TARGET`, `LORA_CONFIG`
 */
export function loraConfig(
  options: TrainingOptions,
  base: Base,
  addedIds: readonly number[],
  notices: Notices,
): LoraConfig {
  const saves = (name: string) => (options.modulesToSave ?? []).some((each) => name.endsWith(each));
  const tables = ['embed_tokens', 'lm_head'].filter((each) => !saves(`model.${each}`));
  const trained = options.trainAddedTokens && addedIds.length > 0 && tables.length > 0;
  const config = defaultLoraConfig({
    r: options.r,
    loraAlpha: options.loraAlpha,
    loraDropout: options.loraDropout,
    targetModules: options.targetModules,
    rankPattern: options.rankPattern ?? {},
    alphaPattern: options.alphaPattern ?? {},
    useRslora: options.useRslora,
    useDora: options.useDora,
    modulesToSave: options.modulesToSave ?? null,
    baseModelNameOrPath: base.name,
    trainableTokenIndices: trained
      ? Object.fromEntries(tables.map((each) => [each, addedIds]))
      : null,
  });
  const modules = phiModules(base.config);
  matchTargets(config, modules);
  for (const name of unmatchedTargets(config, modules))
    notices.warn(`target_modules: ${name} matches no linear layer of the base`);
  return config;
}

/** Trainable numbers of an adapter with this configuration. */
export function adapterParameters(config: LoraConfig, base: Base): number {
  const layers = matchTargets(config, phiModules(base.config)).map(
    ({ name, inFeatures, outFeatures }) =>
      rankAndScaling(config, name).rank * (inFeatures + outFeatures) +
      (config.useDora ? outFeatures : 0),
  );
  const rows = Object.values(config.trainableTokenIndices ?? {}).map(
    (ids: readonly number[]) => ids.length * base.config.hiddenSize,
  );
  const modules = phiSavableModules(base.config)
    .filter(({ name }) => config.modulesToSave?.some((each) => name.endsWith(each)))
    .flatMap(({ parameters }) => Object.values(parameters).map(sizeOf));
  return [...layers, ...rows, ...modules].reduce((sum, each) => sum + each, 0);
}
