import type { PhiConfig } from '@qlorajs/phi2-model';
import type { GgufMetadata, GgufValue } from './metadata.js';
import type { GgufType } from './types.js';

/** llama.cpp's names of Phi's layers. */
const LAYER_NAMES: Readonly<Record<string, string>> = {
  'self_attn.q_proj': 'attn_q',
  'self_attn.k_proj': 'attn_k',
  'self_attn.v_proj': 'attn_v',
  'self_attn.dense': 'attn_output',
  'mlp.fc1': 'ffn_up',
  'mlp.fc2': 'ffn_down',
  input_layernorm: 'attn_norm',
};

const OTHER_NAMES: Readonly<Record<string, string>> = {
  'model.embed_tokens': 'token_embd',
  'model.final_layernorm': 'output_norm',
  lm_head: 'output',
};

/** llama.cpp's name of a Phi module: `model.layers.0.self_attn.q_proj` is `blk.0.attn_q`. */
export function ggufModuleName(module: string): string {
  const layer = /^model\.layers\.(\d+)\.(.+)$/.exec(module);
  return layer === null ? OTHER_NAMES[module] : `blk.${layer[1]}.${LAYER_NAMES[layer[2]]}`;
}

/** llama.cpp's name of a Phi tensor. */
export function ggufTensorName(name: string): string {
  const dot = name.lastIndexOf('.');
  return ggufModuleName(name.slice(0, dot)) + name.slice(dot);
}

/** llama.cpp's `general.file_type`. */
const FILE_TYPES: Readonly<Record<GgufType, number>> = { F32: 0, F16: 1, Q8_0: 7, BF16: 32 };

const text = (value: string): GgufValue => ({ type: 'string', value });
const count = (value: number): GgufValue => ({ type: 'u32', value });

/** Metadata of a whole model, as llama.cpp's convert_hf_to_gguf.py writes it for PhiForCausalLM. */
export function phi2Metadata(config: PhiConfig, name: string, type: GgufType): GgufMetadata {
  return new Map<string, GgufValue>([
    ['general.architecture', text('phi2')],
    ['general.type', text('model')],
    ['general.name', text(name)],
    ['phi2.context_length', count(config.maxPositions)],
    ['phi2.embedding_length', count(config.hiddenSize)],
    ['phi2.feed_forward_length', count(config.intermediateSize)],
    ['phi2.block_count', count(config.layers)],
    ['phi2.attention.head_count', count(config.heads)],
    ['phi2.attention.head_count_kv', count(config.heads)],
    ['phi2.attention.layer_norm_epsilon', { type: 'f32', value: config.layerNormEpsilon }],
    ['phi2.rope.dimension_count', count(config.rotaryDim)],
    ['phi2.rope.freq_base', { type: 'f32', value: config.ropeTheta }],
    ['general.file_type', count(FILE_TYPES[type])],
    ['general.quantization_version', count(2)],
  ]);
}

/**
 * Metadata of a LoRA adapter, as llama.cpp's convert_lora_to_gguf.py writes it.
 * @param alpha llama.cpp scales by alpha / rank, or by 1 where alpha is 0
 */
export function loraMetadata(name: string, alpha: number): GgufMetadata {
  return new Map<string, GgufValue>([
    ['general.architecture', text('phi2')],
    ['general.type', text('adapter')],
    ['general.name', text(name)],
    ['adapter.type', text('lora')],
    ['adapter.lora.alpha', { type: 'f32', value: alpha }],
  ]);
}
