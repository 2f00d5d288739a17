import type { Backend } from '@qlorajs/compute';
import {
  createAdapter,
  type LoraAdapter,
  type LoraConfig,
  loadAdapter,
  matchTargets,
} from '@qlorajs/lora';
import { phiModules, phiSavableModules } from '@qlorajs/phi2-model';
import type { FolderSource, TensorSource } from '@qlorajs/safetensors';
import type { Base } from '../base.js';
import { readAdapter } from '../chat/voice.js';
import { embeddingShape } from '../embedding-shape.js';
import type { Notices } from '../notices.js';
import { addedRows } from './added-rows.js';

/** Where a run's adapter comes from. */
export interface AdapterOrigin {
  readonly config: LoraConfig;
  /** A checkpoint's or `init_adapter`'s; null: a new one. */
  readonly folder: FolderSource | null;
  readonly base: Base;
  readonly weights: TensorSource;
  /** Tokens that the base has seen; those that the chat format added follow. */
  readonly knownTokens: number;
  readonly seed: number;
}

/** First rows of trained tokens, by module. */
async function firstRows(origin: AdapterOrigin): Promise<Map<string, Float32Array>> {
  const { config, weights, knownTokens, seed } = origin;
  const rows = new Map<string, Float32Array>();
  for (const [module, ids] of Object.entries(config.trainableTokenIndices ?? {})) {
    const table = module === 'lm_head' ? 'lm_head.weight' : 'model.embed_tokens.weight';
    rows.set(module, await addedRows(weights, table, knownTokens, ids.length, seed));
  }
  return rows;
}

/** The base's own values of the modules that are trained whole, by tensor name. */
async function savedModules(origin: AdapterOrigin): Promise<Map<string, Float32Array>> {
  const { config, base, weights } = origin;
  const values = new Map<string, Float32Array>();
  for (const { name, parameters } of phiSavableModules(base.config)) {
    if (!config.modulesToSave?.some((each) => name.endsWith(each))) continue;
    for (const each of Object.keys(parameters))
      values.set(`${name}.${each}`, await weights.readFloat32(`${name}.${each}`));
  }
  return values;
}

/**
 * The adapter that a run begins or goes on with.
 * @param rowNorms of layers of the base, by name; asked for with DoRA alone
 */
export async function startAdapter(
  backend: Backend,
  origin: AdapterOrigin,
  rowNorms: (names: readonly string[]) => Promise<ReadonlyMap<string, Float32Array>>,
  notices: Notices,
): Promise<LoraAdapter> {
  const { config, folder, base, seed } = origin;
  const modules = phiModules(base.config);
  const shapes = {
    embedding: embeddingShape(base.config),
    savable: phiSavableModules(base.config),
  };
  if (folder !== null) {
    const { files } = await readAdapter(folder, notices);
    return loadAdapter(backend, files, modules, shapes);
  }
  const targets = config.useDora ? matchTargets(config, modules).map(({ name }) => name) : [];
  const rows = await firstRows(origin);
  const values = await savedModules(origin);
  const norms = targets.length > 0 ? await rowNorms(targets) : new Map<string, Float32Array>();
  return createAdapter(backend, config, modules, {
    ...{ seed, ...shapes },
    tokenRows: (module) => rows.get(module)!,
    rowNorms: (name) => norms.get(name)!,
    moduleValues: (name, parameter) => values.get(`${name}.${parameter}`)!,
  });
}
