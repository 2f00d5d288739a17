import {
  defaultLoraConfig,
  type LoraConfig,
  matchTargets,
  rankAndScaling,
  unmatchedTargets,
} from '@qlorajs/lora';
import { phiModules } from '@qlorajs/phi2-model';
import type { BaseFolder } from '../io/base-folder.js';
import type { TrainingOptions } from '../options/training-options.js';
import type { Ui } from '../report/ui.js';

/**
 * The configuration of a new adapter, checked against the base.
 * @param addedIds tokens whose embedding and head rows are trained
 * @throws QLoraError `LORA_NO_TARGET`, `LORA_CONFIG`
 */
export function loraConfig(
  options: TrainingOptions,
  base: BaseFolder,
  addedIds: readonly number[],
  ui: Ui,
): LoraConfig {
  const trained = options.trainAddedTokens && addedIds.length > 0;
  const config = defaultLoraConfig({
    r: options.r,
    loraAlpha: options.loraAlpha,
    loraDropout: options.loraDropout,
    targetModules: options.targetModules,
    rankPattern: options.rankPattern ?? {},
    alphaPattern: options.alphaPattern ?? {},
    useRslora: options.useRslora,
    baseModelNameOrPath: base.name,
    trainableTokenIndices: trained ? { embed_tokens: addedIds, lm_head: addedIds } : null,
  });
  const modules = phiModules(base.config);
  matchTargets(config, modules);
  for (const name of unmatchedTargets(config, modules))
    ui.warn(`target_modules: ${name} matches no linear layer of the base`);
  return config;
}

/** Trainable numbers of an adapter with this configuration. */
export function adapterParameters(config: LoraConfig, base: BaseFolder): number {
  const layers = matchTargets(config, phiModules(base.config)).map(
    ({ name, inFeatures, outFeatures }) =>
      rankAndScaling(config, name).rank * (inFeatures + outFeatures),
  );
  const rows = Object.values(config.trainableTokenIndices ?? {}).map(
    (ids: readonly number[]) => ids.length * base.config.hiddenSize,
  );
  return [...layers, ...rows].reduce((sum, each) => sum + each, 0);
}
