import { QLoraError } from '@qlorajs/errors';
import { z } from 'zod';

/** The architecture of a Phi model, as config.json gives it. */
export interface PhiConfig {
  readonly vocabSize: number;
  /** C */
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly layers: number;
  readonly heads: number;
  /** D = hiddenSize / heads */
  readonly headDim: number;
  /** The first dimensions of every head that turn with the position; even. */
  readonly rotaryDim: number;
  readonly ropeTheta: number;
  readonly layerNormEpsilon: number;
  readonly maxPositions: number;
  /** Dropout on the attention and MLP outputs while training: 0.1 in Phi-2. */
  readonly residualDropout: number;
  readonly bosTokenId: number | null;
  readonly eosTokenId: number | null;
}

/** Far above any Phi: a wild number would cost as much time or memory as it is high. */
const upTo = (most: number) => z.number().int().positive().max(most);
const tokenId = z.number().int().nonnegative().nullish();
const rope = z
  .looseObject({
    rope_theta: z.number().positive().optional(),
    partial_rotary_factor: z.number().positive().max(1).optional(),
    rope_type: z.string().optional(),
  })
  .nullish();

const schema = z.looseObject({
  model_type: z.string(),
  hidden_act: z.string().default('gelu_new'),
  vocab_size: upTo(2 ** 24),
  hidden_size: upTo(2 ** 17),
  intermediate_size: upTo(2 ** 20),
  num_hidden_layers: upTo(1024),
  num_attention_heads: upTo(2 ** 12),
  num_key_value_heads: upTo(2 ** 12).nullish(),
  max_position_embeddings: upTo(2 ** 20).default(2048),
  layer_norm_eps: z.number().positive().default(1e-5),
  resid_pdrop: z.number().min(0).max(0.99).default(0),
  embd_pdrop: z.number().default(0),
  attention_dropout: z.number().default(0),
  partial_rotary_factor: z.number().positive().max(1).optional(),
  rope_theta: z.number().positive().optional(),
  rope_scaling: z.unknown().optional(),
  rope_parameters: rope,
  qk_layernorm: z.boolean().default(false),
  tie_word_embeddings: z.boolean().default(false),
  bos_token_id: tokenId,
  eos_token_id: tokenId,
});

type RawConfig = z.infer<typeof schema>;

/** What this package does not compute, each with the key that asks for it. */
function unsupported(raw: RawConfig): string[] {
  const checks: [boolean, string][] = [
    [raw.hidden_act !== 'gelu_new', `hidden_act "${raw.hidden_act}" (gelu_new is)`],
    [
      (raw.num_key_value_heads ?? raw.num_attention_heads) !== raw.num_attention_heads,
      'num_key_value_heads other than num_attention_heads',
    ],
    [raw.qk_layernorm, 'qk_layernorm'],
    [raw.tie_word_embeddings, 'tie_word_embeddings'],
    [raw.rope_scaling !== undefined && raw.rope_scaling !== null, 'rope_scaling'],
    [(raw.rope_parameters?.rope_type ?? 'default') !== 'default', 'rope_parameters.rope_type'],
    [raw.embd_pdrop !== 0, 'embd_pdrop'],
    [raw.attention_dropout !== 0, 'attention_dropout'],
    [raw.hidden_size % raw.num_attention_heads !== 0, 'heads that do not divide hidden_size'],
  ];
  return checks.filter(([found]) => found).map(([, name]) => name);
}

/**
 * Reads a Hugging Face config.json of model type `phi`, in the spelling of transformers 4 and 5.
 * @param json the parsed file
 * @param name the file's name, for messages
 * @throws QLoraError `PHI_CONFIG` for another architecture, a missing or wrong field, or a variant
 * (tied embeddings, q/k layer norm, scaled rotary) that Phi-2 does not use.
 *
 * @example
 * ```ts
 * import { parsePhiConfig } from '@qlorajs/phi2-model';
 *
 * const config = parsePhiConfig({
 *   model_type: 'phi',
 *   vocab_size: 51200,
 *   hidden_size: 2560,
 *   intermediate_size: 10240,
 *   num_hidden_layers: 32,
 *   num_attention_heads: 32,
 *   partial_rotary_factor: 0.4,
 * });
 * console.log(config.headDim, config.rotaryDim); // 80 32
 * ```
 */
export function parsePhiConfig(json: unknown, name = 'config.json'): PhiConfig {
  const type = (json as { model_type?: unknown } | null)?.model_type;
  if (type !== 'phi')
    throw new QLoraError(
      'PHI_CONFIG',
      `${name}: model_type is ${JSON.stringify(type)}, this needs "phi" (microsoft/phi-2, phi-1_5, phi-1 or phi-nano)`,
      { details: { file: name, modelType: type } },
    );
  const parsed = schema.safeParse(json);
  if (!parsed.success) {
    const problems = parsed.error.issues.map((i) => `${i.path.join('.')}: ${i.message}`);
    throw new QLoraError('PHI_CONFIG', `${name}: ${problems.join('; ')}`, {
      details: { file: name, problems },
    });
  }
  const raw = parsed.data;
  const problems = unsupported(raw);
  if (problems.length > 0)
    throw new QLoraError('PHI_CONFIG', `${name}: not supported: ${problems.join('; ')}`, {
      details: { file: name, problems },
    });
  const headDim = raw.hidden_size / raw.num_attention_heads;
  const factor = raw.rope_parameters?.partial_rotary_factor ?? raw.partial_rotary_factor ?? 0.5;
  return {
    vocabSize: raw.vocab_size,
    hiddenSize: raw.hidden_size,
    intermediateSize: raw.intermediate_size,
    layers: raw.num_hidden_layers,
    heads: raw.num_attention_heads,
    headDim,
    rotaryDim: Math.floor(headDim * factor),
    ropeTheta: raw.rope_parameters?.rope_theta ?? raw.rope_theta ?? 10_000,
    layerNormEpsilon: raw.layer_norm_eps,
    maxPositions: raw.max_position_embeddings,
    residualDropout: raw.resid_pdrop,
    bosTokenId: raw.bos_token_id ?? null,
    eosTokenId: raw.eos_token_id ?? null,
  };
}
