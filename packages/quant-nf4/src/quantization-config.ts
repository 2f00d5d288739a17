import { QLoraError } from '@qlorajs/errors';
import type { FloatDtype } from './nf4-tensor.js';

/** The part of transformers' `BitsAndBytesConfig` that concerns NF4. */
export interface Nf4QuantizationConfig {
  /** `bnb_4bit_use_double_quant` */
  readonly doubleQuant: boolean;
  /** `bnb_4bit_compute_dtype`: in what transformers multiplies */
  readonly computeDtype: FloatDtype;
  /** `llm_int8_skip_modules`, which despite its name goes for 4 bits: modules left unquantized */
  readonly skipModules: readonly string[] | null;
}

const DTYPES: readonly FloatDtype[] = ['float32', 'float16', 'bfloat16'];

/**
 * The `quantization_config` object of a config.json, keys sorted as transformers writes them.
 *
 * `llm_int8_threshold` is left out: it means nothing for 4 bits, defaults to 6.0, and transformers
 * refuses the `6` that `JSON.stringify` would make of it ("must be a float").
 *
 * @param config - defaults: double quantization, bfloat16, nothing skipped (transformers skips an
 * untied `lm_head` by itself)
 */
export function toQuantizationConfig(
  config: Partial<Nf4QuantizationConfig> = {},
): Record<string, boolean | string | string[] | null> {
  const { doubleQuant = true, computeDtype = 'bfloat16', skipModules = null } = config;
  return {
    _load_in_4bit: true,
    _load_in_8bit: false,
    bnb_4bit_compute_dtype: computeDtype,
    bnb_4bit_quant_storage: 'uint8',
    bnb_4bit_quant_type: 'nf4',
    bnb_4bit_use_double_quant: doubleQuant,
    llm_int8_enable_fp32_cpu_offload: false,
    llm_int8_has_fp16_weight: false,
    llm_int8_skip_modules: skipModules === null ? null : [...skipModules],
    load_in_4bit: true,
    load_in_8bit: false,
    quant_method: 'bitsandbytes',
  };
}

function unsupported(found: string, details: Readonly<Record<string, unknown>>): QLoraError {
  return new QLoraError(
    'QUANTIZATION_UNSUPPORTED',
    `quantization_config: ${found}; only bitsandbytes NF4 can be read: use the unquantized model, or one with load_in_4bit and bnb_4bit_quant_type "nf4"`,
    { details },
  );
}

function invalid(key: string, value: unknown, expected: string): QLoraError {
  return new QLoraError(
    'QUANTIZATION_CONFIG',
    `quantization_config.${key} is ${JSON.stringify(value)}; it must be ${expected}`,
    { details: { key, value } },
  );
}

function booleanOf(config: Record<string, unknown>, key: string): boolean {
  const value = config[key] ?? false;
  if (typeof value === 'boolean') return value;
  throw invalid(key, value, 'true or false');
}

/**
 * Reads the `quantization_config` object of a config.json, with transformers' defaults for what is
 * left out.
 *
 * @throws {@link QLoraError} `QUANTIZATION_UNSUPPORTED` for anything but bitsandbytes NF4 (fp4, int8,
 * GPTQ, AWQ …), `QUANTIZATION_CONFIG` for a value of the wrong type
 *
 * @example
 * ```ts
 * import { parseQuantizationConfig } from '@qlorajs/quant-nf4';
 *
 * try {
 *   parseQuantizationConfig({ quant_method: 'gptq', bits: 4 });
 * } catch (error) {
 *   console.log((error as { code: string }).code); // QUANTIZATION_UNSUPPORTED
 * }
 * ```
 */
export function parseQuantizationConfig(json: unknown): Nf4QuantizationConfig {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw new QLoraError(
      'QUANTIZATION_CONFIG',
      'quantization_config must be an object; copy it from the model it belongs to',
    );
  }
  const config = json as Record<string, unknown>;
  // Configs from before transformers 4.34 do not name the method.
  const method = config.quant_method ?? 'bitsandbytes';
  if (method !== 'bitsandbytes') {
    throw unsupported(`quant_method is ${JSON.stringify(method)}`, { quantMethod: method });
  }
  if (booleanOf(config, 'load_in_8bit')) {
    throw unsupported('load_in_8bit is true', { loadIn8Bit: true });
  }
  if (!booleanOf(config, 'load_in_4bit')) {
    throw unsupported('load_in_4bit is not true', { loadIn4Bit: false });
  }
  const quantType = config.bnb_4bit_quant_type ?? 'fp4';
  if (quantType !== 'nf4') {
    throw unsupported(`bnb_4bit_quant_type is ${JSON.stringify(quantType)}`, { quantType });
  }
  const computeName = config.bnb_4bit_compute_dtype ?? 'float32';
  const computeDtype = DTYPES.find((each) => each === computeName);
  if (computeDtype === undefined) {
    throw invalid('bnb_4bit_compute_dtype', computeName, `one of ${DTYPES.join(', ')}`);
  }
  const skip = config.llm_int8_skip_modules ?? null;
  if (skip !== null && !(Array.isArray(skip) && skip.every((each) => typeof each === 'string'))) {
    throw invalid('llm_int8_skip_modules', skip, 'null or a list of module names');
  }
  return {
    doubleQuant: booleanOf(config, 'bnb_4bit_use_double_quant'),
    computeDtype,
    skipModules: skip,
  };
}
