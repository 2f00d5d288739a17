import type { Backend, DType, LinearWeight, Tensor } from '@qlorajs/compute';
import { BlockPages } from './block-pages.js';
import type { PhiConfig } from './config.js';
import type { LoadOptions } from './load.js';
import { PhiModel } from './model.js';
import { BLOCK_LINEARS, type BlockLinear, linearShape } from './tensors.js';
import type { BlockWeights, FrozenLinear, FrozenNorm } from './weights.js';

/** Elements that share a scale, and scales that share one of theirs: bitsandbytes' sizes. */
const BLOCK = 64;
const NESTED_BLOCK = 256;

/** How a base would be held. */
export interface PlanOptions extends Pick<LoadOptions, 'quantize' | 'pager'> {
  /** Embedding and head in f16. */
  readonly halfTables: boolean;
}

/**
 * A model of which nothing was loaded: tensors of the right sizes, by the names that loading gives
 * them. On a `createCountingBackend` a training step with it tells what a real one will need.
 */
export function planPhi(backend: Backend, config: PhiConfig, options: PlanOptions): PhiModel {
  const { quantize, pager, halfTables } = options;
  const empty = (dtype: DType, shape: readonly number[], label: string): Tensor =>
    backend.empty(dtype, shape, label);
  const weightOf = (name: string, shape: readonly [number, number]): LinearWeight => {
    if (!quantize) return { kind: 'dense', shape, values: empty('f32', shape, name) };
    const size = shape[0] * shape[1];
    const blocks = Math.ceil(size / BLOCK);
    const codes = empty('u8', [Math.ceil(size / 2)], `${name}.codes`);
    if (!quantize.doubleQuant) {
      const absmax = empty('f32', [blocks], `${name}.absmax`);
      return { kind: 'nf4', shape, blockSize: BLOCK, codes, scales: { kind: 'plain', absmax } };
    }
    const scales = {
      kind: 'double',
      codes: empty('u8', [blocks], `${name}.absmax`),
      absmax: empty('f32', [Math.ceil(blocks / NESTED_BLOCK)], `${name}.nested_absmax`),
      codeMap: empty('f32', [256], `${name}.nested_quant_map`),
      ...{ offset: 0, blockSize: NESTED_BLOCK },
    } as const;
    return { kind: 'nf4', shape, blockSize: BLOCK, codes, scales };
  };
  const norm = (prefix: string): FrozenNorm => ({
    weight: empty('f32', [config.hiddenSize], `${prefix}.weight`),
    bias: empty('f32', [config.hiddenSize], `${prefix}.bias`),
  });
  const tableShape = [config.vocabSize, config.hiddenSize] as const;
  const table = (name: string) => empty(halfTables ? 'f16' : 'f32', tableShape, name);

  const embedding = table('model.embed_tokens.weight');
  const blocks: BlockWeights[] = [];
  const pages = pager ? new BlockPages(pager, blocks) : null;
  for (let layer = 0; layer < config.layers; layer++) {
    const linears: Partial<Record<BlockLinear, FrozenLinear>> = {};
    for (const linear of BLOCK_LINEARS) {
      const name = `model.layers.${layer}.${linear}`;
      const shape = linearShape(config, linear);
      const weight = weightOf(`${name}.weight`, shape);
      linears[linear] = { weight, bias: empty('f32', [shape[0]], `${name}.bias`) };
    }
    blocks.push({
      linears: linears as Record<BlockLinear, FrozenLinear>,
      norm: norm(`model.layers.${layer}.input_layernorm`),
    });
    pages?.adopt();
  }
  const finalNorm = norm('model.final_layernorm');
  const values = table('lm_head.weight');
  const head: FrozenLinear = {
    weight: { kind: 'dense', shape: tableShape, values },
    bias: empty('f32', [config.vocabSize], 'lm_head.bias'),
  };
  const weights = { embedding, blocks, finalNorm, head };
  return new PhiModel(backend, config, weights, { peakHostBytes: 0, quantized: 0 }, pages);
}
