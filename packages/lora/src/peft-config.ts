import { parseJson, QLoraError } from '@qlorajs/errors';
import { type LoraConfig, toSnakeCase, validateConfig } from './config.js';
import { PythonFloat, pythonJson } from './python-json.js';

/** Keys that change what the adapter computes, in a way that qlorajs does not do; with PEFT's defaults. */
const UNSUPPORTED: Readonly<Record<string, unknown>> = {
  alora_invocation_tokens: null,
  arrow_config: null,
  bias: 'none',
  fan_in_fan_out: false,
  kasa_config: null,
  layer_replication: null,
  lora_bias: false,
  megatron_config: null,
  monteclora_config: null,
  target_parameters: null,
  use_bdlora: null,
  use_qalora: false,
  velora_config: null,
};

/** Keys that only steer how PEFT starts or places an adapter; with PEFT's defaults. */
const INERT: Readonly<Record<string, unknown>> = {
  auto_mapping: null,
  corda_config: null,
  eva_config: null,
  loftq_config: {},
  lora_ga_config: null,
  megatron_core: 'megatron.core',
  qalora_group_size: 16,
};

const FIELDS = [
  'taskType',
  'peftVersion',
  'baseModelNameOrPath',
  'revision',
  'r',
  'loraAlpha',
  'loraDropout',
  'targetModules',
  'excludeModules',
  'useRslora',
  'useDora',
  'modulesToSave',
  'bias',
  'initLoraWeights',
  'layersToTransform',
  'layersPattern',
  'rankPattern',
  'alphaPattern',
  'trainableTokenIndices',
  'ensureWeightTying',
] as const satisfies readonly (keyof LoraConfig)[];

/** What {@link parsePeftConfig} gives. */
export interface ParsedPeftConfig {
  readonly config: LoraConfig;
  /** Keys that PEFT 0.21 does not know; dropped, as PEFT drops them. */
  readonly warnings: readonly string[];
}

function isOff(value: unknown): boolean {
  if (value === null || value === undefined || value === false || value === '') return true;
  return typeof value === 'object' && Object.keys(value).length === 0;
}

function isSupported(key: string, value: unknown): boolean {
  if (key === 'bias') return value === 'none';
  if (key === 'init_lora_weights')
    return typeof value !== 'string' || value.toLowerCase() === 'gaussian';
  return !Object.hasOwn(UNSUPPORTED, key) || isOff(value);
}

function parseObject(text: string, file: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = parseJson(text);
  } catch (cause) {
    throw new QLoraError('LORA_CONFIG', `${file} is not JSON: ${(cause as Error).message}`, {
      details: { file },
      cause,
    });
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>;
  throw new QLoraError('LORA_CONFIG', `${file} must hold a JSON object`, { details: { file } });
}

/**
 * Reads PEFT's `adapter_config.json`. Only `peft_type` is required; what is missing takes PEFT's default.
 *
 * @param file Name for messages.
 * @throws QLoraError `LORA_CONFIG` for broken JSON, another `peft_type` or wrong values;
 * `LORA_UNSUPPORTED` with `details.keys` when a key asks for maths that qlorajs does not do.
 * @example
 * ```ts
 * import { parsePeftConfig } from '@qlorajs/lora';
 *
 * const { config, warnings } = parsePeftConfig('{"peft_type": "LORA", "r": 4, "new_key": 1}');
 * console.log(config.r, config.loraAlpha, warnings[0]); // 4 8 new_key
 * ```
 */
export function parsePeftConfig(text: string, file = 'adapter_config.json'): ParsedPeftConfig {
  const entries = parseObject(text, file);
  if (entries.peft_type !== 'LORA')
    throw new QLoraError(
      'LORA_CONFIG',
      `${file}: peft_type must be "LORA", got ${JSON.stringify(entries.peft_type)}; qlorajs reads LoRA adapters only`,
      { details: { file, peftType: entries.peft_type ?? null } },
    );
  const refused = Object.keys(entries).filter((key) => !isSupported(key, entries[key]));
  if (refused.length > 0)
    throw new QLoraError(
      'LORA_UNSUPPORTED',
      `${file} asks for what qlorajs does not compute: ${refused
        .map((key) => `${key}=${JSON.stringify(entries[key])}`)
        .join(
          ', ',
        )}; merge this adapter with PEFT (merge_and_unload), or train one without these keys`,
      { details: { file, keys: refused } },
    );
  const known: Record<string, unknown> = {};
  const inert: Record<string, unknown> = {};
  for (const field of FIELDS) {
    const key = toSnakeCase(field);
    if (Object.hasOwn(entries, key)) known[field] = entries[key];
  }
  if (typeof known.initLoraWeights === 'string') known.initLoraWeights = 'gaussian';
  for (const key of Object.keys(INERT)) if (Object.hasOwn(entries, key)) inert[key] = entries[key];
  const recognised = new Set([
    ...FIELDS.map(toSnakeCase),
    ...Object.keys(UNSUPPORTED),
    ...Object.keys(INERT),
    'peft_type',
    'inference_mode',
    'runtime_config',
  ]);
  return {
    config: validateConfig({ ...known, inert }, file, toSnakeCase),
    warnings: Object.keys(entries).filter((key) => !recognised.has(key)),
  };
}

/**
 * The text of `adapter_config.json`, byte for byte as PEFT 0.21 saves the same configuration:
 * every key, sorted, two spaces, no newline at the end, `inference_mode` true.
 */
export function formatPeftConfig(config: LoraConfig): string {
  const entries: Record<string, unknown> = {
    ...UNSUPPORTED,
    ...INERT,
    ...config.inert,
    inference_mode: true,
    peft_type: 'LORA',
  };
  for (const field of FIELDS) entries[toSnakeCase(field)] = config[field];
  entries.lora_dropout = new PythonFloat(config.loraDropout);
  return pythonJson(entries);
}
