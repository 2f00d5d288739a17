import { QLoraError } from '@qlorajs/errors';
import type { PhiConfig } from './config.js';

/** The linear layers of a block that QLoRA quantizes and adapters attach to, by their module path. */
export const BLOCK_LINEARS = [
  'self_attn.q_proj',
  'self_attn.k_proj',
  'self_attn.v_proj',
  'self_attn.dense',
  'mlp.fc1',
  'mlp.fc2',
] as const;

export type BlockLinear = (typeof BLOCK_LINEARS)[number];

/** `[out, in]` of a block's linear layer. */
export function linearShape(config: PhiConfig, linear: BlockLinear): readonly [number, number] {
  const { hiddenSize, intermediateSize } = config;
  if (linear === 'mlp.fc1') return [intermediateSize, hiddenSize];
  if (linear === 'mlp.fc2') return [hiddenSize, intermediateSize];
  return [hiddenSize, hiddenSize];
}

/** Every linear layer of the blocks with its shape: what an adapter can target. */
export function phiModules(
  config: PhiConfig,
): { name: string; inFeatures: number; outFeatures: number }[] {
  return Array.from({ length: config.layers }, (_, layer) =>
    BLOCK_LINEARS.map((linear) => {
      const [outFeatures, inFeatures] = linearShape(config, linear);
      return { name: `model.layers.${layer}.${linear}`, inFeatures, outFeatures };
    }),
  ).flat();
}

/** Name and shape of every tensor of the checkpoint, in state-dict order: 453 for Phi-2. */
export function phiTensors(config: PhiConfig): Map<string, readonly number[]> {
  const { hiddenSize, vocabSize } = config;
  const tensors = new Map<string, readonly number[]>();
  tensors.set('model.embed_tokens.weight', [vocabSize, hiddenSize]);
  for (let layer = 0; layer < config.layers; layer++) {
    const prefix = `model.layers.${layer}`;
    for (const linear of BLOCK_LINEARS) {
      const shape = linearShape(config, linear);
      tensors.set(`${prefix}.${linear}.weight`, shape);
      tensors.set(`${prefix}.${linear}.bias`, [shape[0]]);
    }
    tensors.set(`${prefix}.input_layernorm.weight`, [hiddenSize]);
    tensors.set(`${prefix}.input_layernorm.bias`, [hiddenSize]);
  }
  tensors.set('model.final_layernorm.weight', [hiddenSize]);
  tensors.set('model.final_layernorm.bias', [hiddenSize]);
  tensors.set('lm_head.weight', [vocabSize, hiddenSize]);
  tensors.set('lm_head.bias', [vocabSize]);
  return tensors;
}

/** What a checkpoint's entry must offer to be checked. */
export interface CheckpointEntry {
  readonly dtype: string;
  readonly shape: readonly number[];
}

const FLOATS = new Set(['F16', 'BF16', 'F32']);

/** True for a name that belongs to a bitsandbytes 4-bit weight beside the codes themselves. */
export function isQuantStatePart(name: string): boolean {
  return /\.weight\.(absmax|quant_map|nested_absmax|nested_quant_map|quant_state\.bitsandbytes__\w+)$/.test(
    name,
  );
}

/**
 * Compares a checkpoint's entries with what the config asks for.
 * @throws QLoraError `PHI_TENSORS` listing every tensor that is missing, unknown, of another shape or
 * of a dtype other than F32, F16 and BF16.
 */
export function checkTensors(
  config: PhiConfig,
  entries: ReadonlyMap<string, CheckpointEntry>,
  source: string,
): void {
  const expected = phiTensors(config);
  const problems: string[] = [];
  for (const [name, shape] of expected) {
    const entry = entries.get(name);
    if (!entry) problems.push(`missing ${name} [${shape}]`);
    else if (entries.has(`${name}.absmax`))
      continue; // 4-bit: its quant state carries the shape
    else if (entry.shape.join() !== shape.join())
      problems.push(`${name} is [${entry.shape}], the config asks for [${shape}]`);
    else if (!FLOATS.has(entry.dtype))
      problems.push(`${name} is ${entry.dtype}; F32, F16 or BF16 is needed`);
  }
  for (const name of entries.keys())
    if (!expected.has(name) && !isQuantStatePart(name) && !name.endsWith('.rotary_emb.inv_freq'))
      problems.push(`unknown ${name}`);
  if (problems.length === 0) return;
  const shown = problems.slice(0, 20).join('; ');
  const rest = problems.length > 20 ? `; and ${problems.length - 20} more` : '';
  throw new QLoraError(
    'PHI_TENSORS',
    `${source}: the weights do not fit config.json: ${shown}${rest}. Download the folder again, or give the config that belongs to it`,
    { details: { source, problems } },
  );
}
