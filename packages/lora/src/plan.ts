import { QLoraError } from '@qlorajs/errors';
import type { LoraConfig } from './config.js';
import type { PlannedTensor } from './planned-tensor.js';
import { type PlannedModule, planModules, type SavableModule } from './saved-modules.js';
import { matchTargets, rankAndScaling, type TargetShape } from './targets.js';

/** The modules whose token rows can be trained, and their names in PEFT's state dict. */
const TOKEN_MODULES = { embed_tokens: 'model.embed_tokens', lm_head: 'lm_head' } as const;

/** `embed_tokens` or `lm_head`. */
export type TokenModule = keyof typeof TOKEN_MODULES;

/** The base model's token table; needed when an adapter trains rows of it. */
export interface EmbeddingShape {
  readonly vocabSize: number;
  readonly hiddenSize: number;
  /** Whether the head shares the embedding's weight (`tie_word_embeddings`); false for Phi. */
  readonly tied: boolean;
}

/** What an adapter needs to know of its base beside the linear layers. */
export interface BaseShapes {
  /** Needed with `trainableTokenIndices`. */
  readonly embedding?: EmbeddingShape;
  /** Needed with `modulesToSave`. */
  readonly savable?: readonly SavableModule[];
}

export interface PlannedLinear {
  readonly name: string;
  readonly rank: number;
  readonly scaling: number;
  /** `[rank, in]` */
  readonly a: PlannedTensor;
  /** `[out, rank]` */
  readonly b: PlannedTensor;
  /** `[out]`, of DoRA. */
  readonly magnitude: PlannedTensor | null;
}

export interface PlannedRows {
  readonly module: TokenModule;
  readonly ids: readonly number[];
  /** `[ids, hidden]` */
  readonly rows: PlannedTensor;
}

/** Every tensor that a configuration asks for on a given base. */
export interface AdapterPlan {
  readonly layers: readonly PlannedLinear[];
  readonly tokens: readonly PlannedRows[];
  readonly modules: readonly PlannedModule[];
  /** The head uses the embedding's trained rows. */
  readonly headSharesRows: boolean;
}

function tokenModule(name: string): TokenModule {
  const full = Object.entries(TOKEN_MODULES).find(
    ([, each]) => each === name || each.endsWith(`.${name}`),
  );
  if (full !== undefined) return full[0] as TokenModule;
  throw new QLoraError(
    'LORA_CONFIG',
    `trainable_token_indices names ${JSON.stringify(name)}; the base has embed_tokens and lm_head`,
    { details: { module: name } },
  );
}

function tokenIds(config: LoraConfig): Map<TokenModule, readonly number[]> {
  const indices = config.trainableTokenIndices;
  if (indices === null) return new Map();
  if (Array.isArray(indices)) return new Map([['embed_tokens', indices]]);
  return new Map(Object.entries(indices).map(([name, ids]) => [tokenModule(name), ids]));
}

function checkIds(ids: readonly number[], embedding: EmbeddingShape): void {
  const outside = ids.filter((id) => id >= embedding.vocabSize);
  if (outside.length === 0) return;
  throw new QLoraError(
    'LORA_CONFIG',
    `trainable_token_indices: the base has ${embedding.vocabSize} token rows, so ${outside.join(', ')} do not exist`,
    { details: { ids: outside, vocabSize: embedding.vocabSize } },
  );
}

/**
 * PEFT's rule for tied weights: the head follows the embedding's rows, unless it has a list of
 * other ids, in which case both are trained apart.
 */
function headFollows(ids: ReadonlyMap<TokenModule, readonly number[]>, tied: boolean): boolean {
  const [embedding, head] = [ids.get('embed_tokens'), ids.get('lm_head')];
  if (!tied || embedding === undefined) return false;
  return head === undefined || head.join() === embedding.join();
}

function planRows(
  config: LoraConfig,
  embedding: EmbeddingShape | undefined,
): Pick<AdapterPlan, 'tokens' | 'headSharesRows'> {
  const ids = tokenIds(config);
  if (ids.size === 0) return { tokens: [], headSharesRows: false };
  if (embedding === undefined)
    throw new QLoraError(
      'LORA_CONFIG',
      'the configuration has trainable_token_indices: pass `embedding`, the shape of the token table of the base',
    );
  const headSharesRows = headFollows(ids, embedding.tied);
  if (config.ensureWeightTying && embedding.tied && ids.size === 2 && !headSharesRows)
    throw new QLoraError(
      'LORA_CONFIG',
      'ensure_weight_tying needs the same trainable_token_indices for embed_tokens and lm_head',
    );
  if (headSharesRows) ids.delete('lm_head');
  const tokens = [...ids].map(([module, list]) => {
    checkIds(list, embedding);
    const key = `base_model.model.${TOKEN_MODULES[module]}.token_adapter.trainable_tokens_delta`;
    return {
      module,
      ids: list,
      rows: { key, shape: [list.length, embedding.hiddenSize] as const },
    };
  });
  return { tokens, headSharesRows };
}

function planLinear(config: LoraConfig, module: TargetShape): PlannedLinear {
  const { name, inFeatures, outFeatures } = module;
  const { rank, scaling } = rankAndScaling(config, name);
  const key = `base_model.model.${name}`;
  return {
    name,
    rank,
    scaling,
    a: { key: `${key}.lora_A.weight`, shape: [rank, inFeatures] },
    b: { key: `${key}.lora_B.weight`, shape: [outFeatures, rank] },
    magnitude: config.useDora
      ? { key: `${key}.lora_magnitude_vector`, shape: [outFeatures] }
      : null,
  };
}

/** @throws QLoraError `LORA_NO_TARGET`, or `LORA_CONFIG` for token ids that the base does not have. */
export function planAdapter(
  config: LoraConfig,
  modules: readonly TargetShape[],
  { embedding, savable }: BaseShapes = {},
): AdapterPlan {
  const plan = {
    layers: matchTargets(config, modules).map((module) => planLinear(config, module)),
    ...planRows(config, embedding),
    modules: planModules(
      config,
      savable,
      modules.map(({ name }) => name),
    ),
  };
  const twice = plan.tokens.find(({ module }) =>
    plan.modules.some(({ name }) => name === TOKEN_MODULES[module]),
  );
  if (twice === undefined) return plan;
  throw new QLoraError(
    'LORA_CONFIG',
    `${twice.module} is in trainable_token_indices and in modules_to_save; train some of its rows or all of them`,
    { details: { module: twice.module } },
  );
}

/** Every tensor of a plan. */
export function plannedTensors(plan: AdapterPlan): PlannedTensor[] {
  return [
    ...plan.layers.flatMap(({ a, b, magnitude }) => (magnitude ? [a, b, magnitude] : [a, b])),
    ...plan.tokens.map(({ rows }) => rows),
    ...plan.modules.flatMap(({ parameters }) => Object.values(parameters)),
  ];
}
