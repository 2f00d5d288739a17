import { type Backend, type Parameter, sizeOf, type Tensor } from '@qlorajs/compute';
import { QLoraError } from '@qlorajs/errors';
import type { LoraConfig } from './config.js';
import { initialMatrices } from './init.js';
import {
  type AdapterPlan,
  type BaseShapes,
  planAdapter,
  plannedTensors,
  type TokenModule,
} from './plan.js';
import type { PlannedTensor } from './planned-tensor.js';
import type { TargetShape } from './targets.js';

/** The low-rank update of one linear layer: scaling * B A. */
export interface LoraLinear {
  /** `model.layers.0.self_attn.q_proj` */
  readonly name: string;
  /** `[rank, in]` */
  readonly a: Parameter;
  /** `[out, rank]` */
  readonly b: Parameter;
  /** `[out]`, of DoRA; else null or left out. */
  readonly magnitude?: Parameter | null;
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

/** A module of which the adapter holds a trained copy (PEFT, `modules_to_save`). */
export interface SavedModule {
  /** `lm_head` */
  readonly name: string;
  readonly weight: Parameter;
  readonly bias: Parameter | null;
}

/** An adapter on a device. Parameters are f32 and named by their keys in PEFT's file. */
export interface LoraAdapter {
  readonly backend: Backend;
  readonly config: LoraConfig;
  /** By module name. */
  readonly layers: ReadonlyMap<string, LoraLinear>;
  /** With tied weights both modules may hold the same rows. */
  readonly tokens: ReadonlyMap<TokenModule, TrainableRows>;
  /** Modules that are trained whole, by their name in the base. */
  readonly modules: ReadonlyMap<string, SavedModule>;
  /** Each parameter once: A, B and magnitude of every layer, then token rows, then whole modules. */
  parameters(): Parameter[];
  /** Frees the device memory. */
  dispose(): void;
}

/** The values of one tensor of a plan; null where they do not matter. */
export type ValuesOf = (tensor: PlannedTensor) => Float32Array | null;

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
  const allocate = (shape: readonly number[], label: string): Tensor => {
    const tensor = backend.empty('f32', shape, label);
    allocated.push(tensor);
    return tensor;
  };
  const sizeOfAll = (tensors: readonly PlannedTensor[]) =>
    tensors.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  const ofLayers = plan.layers.flatMap(({ a, b, magnitude }) =>
    magnitude ? [a, b, magnitude] : [a, b],
  );
  let used = 0;
  try {
    // Gradients lie side by side, so that clearing them and taking their norm is one operation each;
    // so do the values of layers, that an optimizer changes many in one.
    const grads = allocate([sizeOfAll(plannedTensors(plan))], 'gradients');
    const shared = allocate([sizeOfAll(ofLayers)], 'adapter');
    const parameter = (tensor: PlannedTensor, value: Tensor): Parameter => {
      const values = valuesOf(tensor);
      if (values) backend.write(value, values);
      const grad = backend.view(grads, used, tensor.shape);
      used += sizeOf(tensor.shape);
      return { name: tensor.key, value, grad };
    };
    const alone = (tensor: PlannedTensor) => parameter(tensor, allocate(tensor.shape, tensor.key));
    const ofLayer = (tensor: PlannedTensor) =>
      parameter(tensor, { ...backend.view(shared, used, tensor.shape), label: tensor.key });
    const layers = new Map(
      plan.layers.map(({ name, rank, scaling, a, b, magnitude }) => [
        name,
        {
          ...{ name, rank, scaling, a: ofLayer(a), b: ofLayer(b) },
          magnitude: magnitude && ofLayer(magnitude),
        },
      ]),
    );
    const tokens = new Map<TokenModule, TrainableRows>(
      plan.tokens.map(({ module, ids, rows }) => [module, { module, ids, rows: alone(rows) }]),
    );
    const modules = new Map<string, SavedModule>(
      plan.modules.map(({ name, parameters: { weight, bias } }) => [
        name,
        { name, weight: alone(weight!), bias: bias ? alone(bias) : null },
      ]),
    );
    const parameters = [
      ...[...layers.values()].flatMap(({ a, b, magnitude }) =>
        magnitude ? [a, b, magnitude] : [a, b],
      ),
      ...[...tokens.values()].map(({ rows }) => rows),
      ...[...modules.values()].flatMap(({ weight, bias }) => (bias ? [weight, bias] : [weight])),
    ];
    const embedding = tokens.get('embed_tokens');
    if (plan.headSharesRows && embedding !== undefined) tokens.set('lm_head', embedding);
    return { backend, config, layers, tokens, modules, parameters: () => [...parameters], dispose };
  } catch (error) {
    dispose();
    throw error;
  }
}

/** What {@link createAdapter} needs beside the configuration. */
export interface CreateAdapterOptions extends BaseShapes {
  /** Unsigned 32-bit integer; the same seed gives the same adapter on every backend. */
  readonly seed: number;
  /** The base's rows `[ids, hidden]` that training starts from; needed with `trainableTokenIndices`. */
  readonly tokenRows?: (module: TokenModule, ids: readonly number[]) => Float32Array;
  /** The 2-norms of the rows of a linear layer's weight, `[out]`; needed with `useDora`. */
  readonly rowNorms?: (module: string) => Float32Array;
  /** The base's own values of a module's parameter, `weight` or `bias`; needed with `modulesToSave`. */
  readonly moduleValues?: (module: string, parameter: string) => Float32Array;
}

/** What the base gave for a tensor. @throws QLoraError `LORA_BASE_VALUES` unless it fits */
function baseValues(
  values: Float32Array | undefined,
  { key, shape }: PlannedTensor,
  source: string,
): readonly [string, Float32Array] {
  const size = shape.reduce((product, each) => product * each, 1);
  if (values?.length === size) return [key, values];
  throw new QLoraError(
    'LORA_BASE_VALUES',
    `${key} starts from the base: ${source} must give its ${size} values, got ${values?.length ?? 'none'}`,
    { details: { key, shape } },
  );
}

/** First values of magnitudes (the norms of the base's rows: B A is zero) and of whole modules. */
function startingValues(
  plan: AdapterPlan,
  options: CreateAdapterOptions,
): [string, Float32Array][] {
  const magnitudes = plan.layers.flatMap(({ name, magnitude }) =>
    magnitude ? [baseValues(options.rowNorms?.(name), magnitude, 'rowNorms')] : [],
  );
  const modules = plan.modules.flatMap(({ name, parameters }) =>
    Object.entries(parameters).map(([each, tensor]) =>
      baseValues(options.moduleValues?.(name, each), tensor, 'moduleValues'),
    ),
  );
  return [...magnitudes, ...modules].map(([key, values]) => [key, values]);
}

function firstRows(plan: AdapterPlan, options: CreateAdapterOptions): Map<string, Float32Array> {
  return new Map(
    plan.tokens.map(({ module, ids, rows }) => {
      const values = options.tokenRows?.(module, ids);
      const size = rows.shape[0]! * rows.shape[1]!;
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
  if (config.useDora && config.initLoraWeights === false)
    throw new QLoraError(
      'LORA_CONFIG',
      'use_dora starts from the norms of the base: init_lora_weights must not be false',
    );
  const plan = planAdapter(config, modules, options);
  const values = new Map([...firstRows(plan, options), ...startingValues(plan, options)]);
  // Drawn when their turn comes: one matrix at a time is in host memory.
  const draws = new Map(
    plan.layers.flatMap((linear) => initialMatrices(linear, config.initLoraWeights, options.seed)),
  );
  return buildAdapter(backend, config, plan, ({ key }) => values.get(key) ?? draws.get(key)!());
}

/**
 * An adapter whose values are not written, for backends that count: no host memory is taken, whatever
 * the rank.
 *
 * @param modules Every linear layer of the base; the configuration chooses among them.
 * @throws QLoraError `LORA_NO_TARGET`, `LORA_CONFIG`.
 */
export function createEmptyAdapter(
  backend: Backend,
  config: LoraConfig,
  modules: readonly TargetShape[],
  base: BaseShapes = {},
): LoraAdapter {
  const plan = planAdapter(config, modules, base);
  return buildAdapter(backend, config, plan, () => null);
}
