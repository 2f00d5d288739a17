import { type Backend, counterKey, counterNormal } from '@qlorajs/compute';
import { createAdapter, defaultLoraConfig, type LoraAdapter } from '@qlorajs/lora';
import { memoryFolder, openCheckpoint, writeSafetensors } from '@qlorajs/safetensors';
import {
  type LabelledBatch,
  type LoadOptions,
  loadPhi,
  type PhiModel,
  parsePhiConfig,
  phiTensors,
} from '../src/index.js';

export const tinyConfigJson = {
  model_type: 'phi',
  vocab_size: 40,
  hidden_size: 32,
  intermediate_size: 64,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  max_position_embeddings: 32,
  partial_rotary_factor: 0.5,
};

/** Seeded weights of the tiny config, large enough for every path to matter, as safetensors bytes. */
export function tinyWeights(overrides: Record<string, unknown> = {}): Uint8Array {
  const config = parsePhiConfig({ ...tinyConfigJson, ...overrides });
  const tensors = [...phiTensors(config)].map(([name, shape], i) => {
    const key = counterKey(99, i);
    const size = shape.reduce((a, b) => a * b, 1);
    const centre = name.includes('layernorm.weight') ? 1 : 0;
    const data = Float32Array.from(
      { length: size },
      (_, j) => centre + 0.2 * counterNormal(key, j),
    );
    return [name, { dtype: 'F32', shape, data }] as const;
  });
  return writeSafetensors(Object.fromEntries(tensors), { format: 'pt' });
}

export async function tinyModel(
  backend: Backend,
  options: LoadOptions = { quantize: null },
  overrides: Record<string, unknown> = {},
): Promise<PhiModel> {
  const folder = memoryFolder([['model.safetensors', tinyWeights(overrides)]], 'tiny');
  const config = parsePhiConfig({ ...tinyConfigJson, ...overrides });
  return loadPhi(backend, config, await openCheckpoint(folder), options);
}

/** An adapter on every linear layer and on three token rows, with B filled so that it matters. */
export function tinyAdapter(model: PhiModel, loraDropout = 0): LoraAdapter {
  const { backend, config } = model;
  const ids = [3, 17, 39];
  const adapter = createAdapter(
    backend,
    defaultLoraConfig({
      r: 4,
      loraAlpha: 8,
      loraDropout,
      targetModules: 'all-linear',
      trainableTokenIndices: { embed_tokens: ids, lm_head: ids },
    }),
    model.modules,
    {
      seed: 5,
      embedding: { vocabSize: config.vocabSize, hiddenSize: config.hiddenSize, tied: false },
      tokenRows: () => randomRows(ids.length * config.hiddenSize, 77),
    },
  );
  for (const [i, { b }] of [...adapter.layers.values()].entries())
    backend.write(b.value, randomRows(b.value.size, 200 + i));
  return adapter;
}

function randomRows(size: number, seed: number): Float32Array {
  const key = counterKey(seed, 1);
  return Float32Array.from({ length: size }, (_, i) => 0.1 * counterNormal(key, i));
}

/** Two rows of 7 and 5 tokens; the special rows 3, 17 and 39 occur as inputs and as labels. */
export const tinyBatch: LabelledBatch = {
  batchSize: 2,
  length: 7,
  lengths: Int32Array.of(7, 5),
  inputIds: Int32Array.of(1, 3, 9, 17, 22, 3, 39, 17, 30, 8, 39, 2, 0, 0),
  labels: Int32Array.of(-100, -100, 9, 17, 22, 3, 39, -100, -100, 8, 39, 2, -100, -100),
};

export const tinyTokens = 8;
