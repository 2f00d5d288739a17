import { type Backend, type Parameter, sizeOf, type Tensor, tensorFrom } from '@qlorajs/compute';
import { QLoraError } from '@qlorajs/errors';
import type { LoraConfig } from './config.js';
import { initialMatrices } from './init.js';
import {
  type AdapterPlan,
  type EmbeddingShape,
  type PlannedTensor,
  planAdapter,
  plannedTensors,
  type TokenModule,
} from './plan.js';
import type { TargetShape } from './targets.js';

/** The low-rank update of one linear layer: scaling * B A. */
export interface LoraLinear {
  /** `model.layers.0.self_attn.q_proj` */
  readonly name: string;
  /** `[rank, in]` */
  readonly a: Parameter;
  /** `[out, rank]` */
  readonly b: Parameter;
  readonly scaling: number;
  readonly rank: number;
}

/** Rows that stand in for those of the base's token table (PEFT, `trainable_token_indices`). */
export interface TrainableRows {
  readonly module: TokenModule;
  /** `rows[i]` replaces row `ids[i]` of the table. */
  readonly ids: readonly number[];
  /** `[ids, hidden]` */
  readonly rows: Parameter;
}

/** An adapter on a device. Parameters are f32 and named by their keys in PEFT's file. */
export interface LoraAdapter {
  readonly backend: Backend;
  readonly config: LoraConfig;
  /** By module name. */
  readonly layers: ReadonlyMap<string, LoraLinear>;
  /** With tied weights both modules may hold the same rows. */
  readonly tokens: ReadonlyMap<TokenModule, TrainableRows>;
  /** Each parameter once: A and B of every layer, then token rows. */
  parameters(): Parameter[];
  /** Frees the device memory. */
  dispose(): void;
}

/** The first values of one tensor of a plan. */
export type ValuesOf = (tensor: PlannedTensor) => Float32Array;

/** Puts a plan's tensors on the device; what was allocated is freed when the device runs out. */
export function buildAdapter(
  backend: Backend,
  config: LoraConfig,
  plan: AdapterPlan,
  valuesOf: ValuesOf,
): LoraAdapter {
  const allocated: Tensor[] = [];
  const dispose = (): void => {
    for (const tensor of allocated.splice(0)) backend.free(tensor);
  };
  // Gradients lie side by side, so that clearing them and taking their norm is one operation each.
  const total = plannedTensors(plan).reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  let used = 0;
  try {
    const grads = backend.empty('f32', [total], 'gradients');
    allocated.push(grads);
    const parameter = (tensor: PlannedTensor): Parameter => {
      const value = tensorFrom(backend, valuesOf(tensor), tensor.shape, tensor.key);
      allocated.push(value);
      const grad = backend.view(grads, used, tensor.shape);
      used += sizeOf(tensor.shape);
      return { name: tensor.key, value, grad };
    };
    const layers = new Map(
      plan.layers.map(({ name, rank, scaling, a, b }) => [
        name,
        { name, rank, scaling, a: parameter(a), b: parameter(b) },
      ]),
    );
    const tokens = new Map<TokenModule, TrainableRows>(
      plan.tokens.map(({ module, ids, rows }) => [module, { module, ids, rows: parameter(rows) }]),
    );
    const parameters = [
      ...[...layers.values()].flatMap(({ a, b }) => [a, b]),
      ...[...tokens.values()].map(({ rows }) => rows),
    ];
    const embedding = tokens.get('embed_tokens');
    if (plan.headSharesRows && embedding !== undefined) tokens.set('lm_head', embedding);
    return { backend, config, layers, tokens, parameters: () => [...parameters], dispose };
  } catch (error) {
    dispose();
    throw error;
  }
}

/** What {@link createAdapter} needs beside the configuration. */
export interface CreateAdapterOptions {
  /** Unsigned 32-bit integer; the same seed gives the same adapter on every backend. */
  readonly seed: number;
  /** Needed with `trainableTokenIndices`. */
  readonly embedding?: EmbeddingShape;
  /** The base's rows `[ids, hidden]` that training starts from; needed with `trainableTokenIndices`. */
  readonly tokenRows?: (module: TokenModule, ids: readonly number[]) => Float32Array;
}

function firstRows(plan: AdapterPlan, options: CreateAdapterOptions): Map<string, Float32Array> {
  return new Map(
    plan.tokens.map(({ module, ids, rows }) => {
      const values = options.tokenRows?.(module, ids);
      const size = rows.shape[0] * rows.shape[1];
      if (values?.length !== size)
        throw new QLoraError(
          'LORA_TOKEN_ROWS',
          `tokenRows must give the ${ids.length} rows of ${module} that are trained, [${rows.shape}] = ${size} values, got ${values?.length ?? 'none'}`,
          { details: { module, ids, shape: rows.shape } },
        );
      return [rows.key, values];
    }),
  );
}

/**
 * A new adapter (LoRA, https://arxiv.org/abs/2106.09685): A uniform in (-1, 1) / sqrt(in), B zero,
 * both from the counter generator with a stream for each tensor's name.
 *
 * @param modules Every linear layer of the base; the configuration chooses among them.
 * @throws QLoraError `LORA_NO_TARGET`, `LORA_CONFIG`, `LORA_TOKEN_ROWS`.
 * @example
 * ```ts
 * import { createReferenceBackend } from '@qlorajs/compute';
 * import { createAdapter, defaultLoraConfig } from '@qlorajs/lora';
 *
 * const config = defaultLoraConfig({ r: 2, targetModules: ['q_proj'] });
 * const modules = [{ name: 'model.layers.0.self_attn.q_proj', inFeatures: 8, outFeatures: 4 }];
 * const adapter = createAdapter(createReferenceBackend(), config, modules, { seed: 42 });
 * console.log(adapter.parameters().map((each) => String(each.value.shape)).join(' and ')); // 2,8 and 4,2
 * ```
 */
export function createAdapter(
  backend: Backend,
  config: LoraConfig,
  modules: readonly TargetShape[],
  options: CreateAdapterOptions,
): LoraAdapter {
  const plan = planAdapter(config, modules, options.embedding);
  const values = firstRows(plan, options);
  for (const linear of plan.layers) {
    const { a, b } = initialMatrices(linear, config.initLoraWeights, options.seed);
    values.set(linear.a.key, a).set(linear.b.key, b);
  }
  return buildAdapter(backend, config, plan, (tensor) => values.get(tensor.key)!);
}
