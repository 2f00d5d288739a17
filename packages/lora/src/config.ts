import { QLoraError } from '@qlorajs/errors';
import { z } from 'zod';

/** Token ids by module (`embed_tokens`, `lm_head`), or ids of the input embedding alone. */
export type TrainableTokenIndices = Readonly<Record<string, readonly number[]>> | readonly number[];

/** PEFT's LoraConfig, the fields that qlorajs acts on; names and defaults are PEFT's, in camel case. */
export interface LoraConfig {
  /** `CAUSAL_LM` makes PEFT wrap the base in PeftModelForCausalLM. */
  readonly taskType: string | null;
  readonly peftVersion: string | null;
  readonly baseModelNameOrPath: string | null;
  readonly revision: string | null;
  /** Rank of the update; default 8. */
  readonly r: number;
  /** Numerator of the scaling; default 8. */
  readonly loraAlpha: number;
  /** Probability that an element of a LoRA input is dropped in training; default 0. */
  readonly loraDropout: number;
  /** Names or ends of names, or a Python regular expression for whole names, or `all-linear`. */
  readonly targetModules: readonly string[] | string;
  readonly excludeModules: readonly string[] | string | null;
  /** Scaling alpha / sqrt(r) (https://arxiv.org/abs/2312.03732) instead of alpha / r. */
  readonly useRslora: boolean;
  /** Weight-decomposed adaptation (https://arxiv.org/abs/2402.09353): a magnitude for every output. */
  readonly useDora: boolean;
  /** Modules outside of the targets that are trained whole: `lm_head`, `embed_tokens`, layer norms. */
  readonly modulesToSave: readonly string[] | null;
  readonly bias: 'none';
  /** How a new adapter starts: true (A as torch's Linear, B zero), `gaussian`, or false (both random). */
  readonly initLoraWeights: boolean | 'gaussian';
  /** Layer numbers that get an adapter; only with a list of target modules. */
  readonly layersToTransform: readonly number[] | number | null;
  readonly layersPattern: readonly string[] | string | null;
  /** Ranks of modules whose name matches `(.*\.)?(key)$`, instead of `r`. */
  readonly rankPattern: Readonly<Record<string, number>>;
  readonly alphaPattern: Readonly<Record<string, number>>;
  readonly trainableTokenIndices: TrainableTokenIndices | null;
  readonly ensureWeightTying: boolean;
  /** PEFT keys that do not change what the adapter computes, kept as the file had them. */
  readonly inert: Readonly<Record<string, unknown>>;
}

/** PEFT's default target modules for model type `phi`. */
export const PHI_TARGET_MODULES: readonly string[] = ['q_proj', 'v_proj', 'fc1', 'fc2'];

/** The version of PEFT whose configuration files are written. */
export const PEFT_VERSION = '0.21.0';

const names = z.union([z.array(z.string().min(1)), z.string().min(1)]);
const tokenIds = z
  .array(z.int().nonnegative())
  .nonempty()
  .refine((ids) => new Set(ids).size === ids.length, 'a token id is listed twice');

const schema = z
  .strictObject({
    taskType: z.string().nullable().default(null),
    peftVersion: z.string().nullable().default(null),
    baseModelNameOrPath: z.string().nullable().default(null),
    revision: z.string().nullable().default(null),
    r: z.int().positive().default(8),
    loraAlpha: z.number().default(8),
    loraDropout: z.number().min(0).lt(1).default(0),
    targetModules: names.nullish().transform((value) => value ?? PHI_TARGET_MODULES),
    excludeModules: names.nullable().default(null),
    useRslora: z.boolean().default(false),
    useDora: z.boolean().default(false),
    modulesToSave: z.array(z.string().min(1)).nullable().default(null),
    bias: z.literal('none').default('none'),
    initLoraWeights: z.union([z.boolean(), z.literal('gaussian')]).default(true),
    layersToTransform: z
      .union([z.array(z.int().nonnegative()), z.int().nonnegative()])
      .nullable()
      .default(null),
    layersPattern: names.nullable().default(null),
    rankPattern: z.record(z.string(), z.int().positive()).default({}),
    alphaPattern: z.record(z.string(), z.number()).default({}),
    trainableTokenIndices: z
      .union([z.record(z.string(), tokenIds), tokenIds])
      .nullable()
      .default(null),
    ensureWeightTying: z.boolean().default(false),
    inert: z.record(z.string(), z.unknown()).default({}),
  })
  .refine(
    (config) => typeof config.targetModules !== 'string' || config.layersToTransform === null,
    {
      path: ['layersToTransform'],
      message: 'works only with a list of target modules',
    },
  )
  .refine((config) => config.layersPattern === null || config.layersToTransform !== null, {
    path: ['layersPattern'],
    message: 'needs layersToTransform',
  });

/** The snake case that PEFT's file uses. */
export function toSnakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** Checks and completes a configuration; `name` and `spell` serve the message. */
export function validateConfig(
  value: unknown,
  name: string,
  spell: (field: string) => string,
): LoraConfig {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issues = result.error.issues.map((issue) => {
    const [field, ...rest] = issue.path.map(String);
    return `${[field === undefined ? 'the configuration' : spell(field), ...rest].join('.')}: ${issue.message}`;
  });
  throw new QLoraError('LORA_CONFIG', `${name}: ${issues.join('; ')}`, { details: { issues } });
}

/** Sorted, because PEFT's file is: the first key that matches must be the same one after a reload. */
function sorted(pattern: Readonly<Record<string, number>> = {}): Record<string, number> {
  return Object.fromEntries(Object.entries(pattern).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/**
 * A checked configuration with PEFT's defaults for what is left out (`targetModules`: PEFT's choice
 * for Phi; `taskType`: `CAUSAL_LM`). The keys of the two patterns are sorted.
 *
 * @throws QLoraError `LORA_CONFIG` with every wrong field in `details.issues`.
 * @example
 * ```ts
 * import { defaultLoraConfig } from '@qlorajs/lora';
 *
 * const config = defaultLoraConfig({ r: 16, loraAlpha: 32, targetModules: ['q_proj', 'v_proj'] });
 * console.log(config.r, config.loraDropout, config.useRslora); // 16 0 false
 * ```
 */
export function defaultLoraConfig(partial: Partial<LoraConfig> = {}): LoraConfig {
  return validateConfig(
    {
      taskType: 'CAUSAL_LM',
      peftVersion: PEFT_VERSION,
      ...partial,
      rankPattern: sorted(partial.rankPattern),
      alphaPattern: sorted(partial.alphaPattern),
    },
    'LoraConfig',
    (field) => field,
  );
}
