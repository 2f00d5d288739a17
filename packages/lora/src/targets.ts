import { QLoraError } from '@qlorajs/errors';
import type { LoraConfig } from './config.js';
import { fullMatch } from './python-regex.js';

/** A linear layer of the base model, `[outFeatures, inFeatures]`. */
export interface TargetShape {
  /** `model.layers.0.self_attn.q_proj` */
  readonly name: string;
  readonly inFeatures: number;
  readonly outFeatures: number;
}

function endsWithName(module: string, name: string): boolean {
  return module === name || module.endsWith(`.${name}`);
}

function matchesAny(module: string, names: readonly string[] | string | null): boolean {
  if (names === null) return false;
  if (typeof names === 'string') return fullMatch(names).matches(module);
  return names.some((name) => endsWithName(module, name));
}

/** The layer number in a name; PEFT takes the first numbered part, or the one after a layers pattern. */
function layerIndex(module: string, patterns: readonly string[] | string | null): number | null {
  const list = typeof patterns === 'string' ? [patterns] : (patterns ?? []);
  if (list.length === 0) {
    const match = /^.*?\.[^.]*\.(\d+)\./.exec(module);
    return match === null ? null : Number(match[1]);
  }
  for (const pattern of list) {
    const match = fullMatch(`(?:.*?\\.)?(?:${pattern})\\.(?P<layerIndex>\\d+)\\..*`).matcher(
      module,
    );
    if (match.matches()) return Number(match.group('layerIndex'));
  }
  return null;
}

function isInChosenLayer(config: LoraConfig, module: string): boolean {
  const chosen = config.layersToTransform;
  if (chosen === null || (Array.isArray(chosen) && chosen.length === 0)) return true;
  const index = layerIndex(module, config.layersPattern);
  return index !== null && [chosen].flat().includes(index);
}

/** Whether PEFT would put an adapter on a linear module of this name. */
function isTarget(config: LoraConfig, module: string): boolean {
  if (matchesAny(module, config.excludeModules)) return false;
  const { targetModules } = config;
  if (typeof targetModules !== 'string')
    return (
      targetModules.includes(module) ||
      (matchesAny(module, targetModules) && isInChosenLayer(config, module))
    );
  if (targetModules.toLowerCase() === 'all-linear') return !endsWithName(module, 'lm_head');
  return fullMatch(targetModules).matches(module);
}

/**
 * The modules that get an adapter, by PEFT's rules: a list names modules in full or by their end; a
 * string is a Python regular expression for the whole name; `all-linear` is every one but `lm_head`.
 *
 * @param modules Every linear layer of the base.
 * @throws QLoraError `LORA_NO_TARGET` when nothing matches; `details.available` lists the names.
 */
export function matchTargets(config: LoraConfig, modules: readonly TargetShape[]): TargetShape[] {
  const targets = modules.filter((module) => isTarget(config, module.name));
  if (targets.length > 0) return targets;
  const available = modules.map((module) => module.name);
  const ends = [...new Set(available.map((name) => name.slice(name.lastIndexOf('.') + 1)))];
  throw new QLoraError(
    'LORA_NO_TARGET',
    `target_modules ${JSON.stringify(config.targetModules)} match no linear layer of the base; it has ${ends.join(', ')} (in full, for example, ${available[0]})`,
    { details: { targetModules: config.targetModules, available } },
  );
}

/** Entries of a list of target modules that match nothing: most often a typing mistake. */
export function unmatchedTargets(config: LoraConfig, modules: readonly TargetShape[]): string[] {
  if (typeof config.targetModules === 'string') return [];
  return config.targetModules.filter(
    (name) => !modules.some((module) => endsWithName(module.name, name)),
  );
}

/** The value of the first pattern key that matches `(.*\.)?(key)$`, as PEFT looks it up. */
function lookUp(
  pattern: Readonly<Record<string, number>>,
  module: string,
  otherwise: number,
): number {
  const key = Object.keys(pattern).find((each) => fullMatch(`(.*\\.)?(${each})`).matches(module));
  return pattern[key ?? module] ?? otherwise;
}

/** Rank and scaling of a module: alpha / r, or alpha / sqrt(r) with rsLoRA. */
export function rankAndScaling(
  config: LoraConfig,
  module: string,
): { readonly rank: number; readonly scaling: number } {
  const rank = lookUp(config.rankPattern, module, config.r);
  const alpha = lookUp(config.alphaPattern, module, config.loraAlpha);
  return { rank, scaling: alpha / (config.useRslora ? Math.sqrt(rank) : rank) };
}
