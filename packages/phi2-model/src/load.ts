import type { Backend, Tensor } from '@qlorajs/compute';
import type { TensorSource } from '@qlorajs/safetensors';
import { BlockPages } from './block-pages.js';
import type { PhiConfig } from './config.js';
import { denseTensor, tableTensor } from './loading/dense.js';
import { linearWeight } from './loading/linear.js';
import { Loader } from './loading/loader.js';
import type { LoadOptions, LoadReport } from './loading/options.js';
import { BLOCK_LINEARS, type BlockLinear, checkTensors, linearShape } from './tensors.js';
import {
  type BlockWeights,
  blockTensors,
  type FrozenLinear,
  type FrozenNorm,
  type PhiWeights,
} from './weights.js';

export { uploadNf4 } from './loading/linear.js';
export type { LoadOptions, LoadReport } from './loading/options.js';

/** Weights on a device, or on their way to it. */
export interface LoadedWeights {
  readonly weights: PhiWeights;
  readonly report: LoadReport;
  /** Of the blocks, with a pager. */
  readonly pages: BlockPages | null;
}

/**
 * Reads a checkpoint onto a device in pieces of 16 MiB, so that the extra host memory is a few of
 * them. NF4 is made on the device; what fails gives the device's memory back.
 * @throws QLoraError `PHI_TENSORS` when names or shapes do not fit the config, `PHI_NOT_FINITE` naming
 * a tensor with NaN or infinities; whatever the reader and the quantizer throw.
 */
export async function loadWeights(
  backend: Backend,
  config: PhiConfig,
  source: TensorSource,
  options: LoadOptions,
): Promise<LoadedWeights> {
  checkTensors(config, source.tensors, source.name);
  const loader = new Loader(backend, source, options);
  try {
    return await readWeights(loader, config);
  } catch (error) {
    loader.abandon();
    throw error;
  } finally {
    loader.finish();
  }
}

async function readWeights(loader: Loader, config: PhiConfig): Promise<LoadedWeights> {
  const { signal, onTensor, pager } = loader.options;
  const total = 5 + config.layers * (BLOCK_LINEARS.length * 2 + 2);
  let done = 0;
  const counted = async <T>(name: string, work: Promise<T>): Promise<T> => {
    const result = await work;
    signal?.throwIfAborted();
    onTensor?.(++done, total, name);
    return result;
  };
  const dense = (name: string): Promise<Tensor> => counted(name, denseTensor(loader, name));
  const table = (name: string): Promise<Tensor> => counted(name, tableTensor(loader, name));
  const norm = async (prefix: string): Promise<FrozenNorm> => ({
    weight: await dense(`${prefix}.weight`),
    bias: await dense(`${prefix}.bias`),
  });
  const linear = async (layer: number, module: BlockLinear): Promise<FrozenLinear> => {
    const name = `model.layers.${layer}.${module}`;
    const weight = linearWeight(loader, `${name}.weight`, linearShape(config, module));
    return {
      weight: await counted(`${name}.weight`, weight),
      bias: await dense(`${name}.bias`),
    };
  };

  const embedding = await table('model.embed_tokens.weight');
  const blocks: BlockWeights[] = [];
  const pages = pager ? new BlockPages(pager, blocks) : null;
  for (let layer = 0; layer < config.layers; layer++) {
    const linears: Partial<Record<BlockLinear, FrozenLinear>> = {};
    for (const module of BLOCK_LINEARS) linears[module] = await linear(layer, module);
    blocks.push({
      linears: linears as Record<BlockLinear, FrozenLinear>,
      norm: await norm(`model.layers.${layer}.input_layernorm`),
    });
    if (pages) loader.give(blockTensors(blocks[layer]));
    pages?.adopt();
  }
  const finalNorm = await norm('model.final_layernorm');
  const shape = [config.vocabSize, config.hiddenSize] as const;
  const head: FrozenLinear = {
    weight: { kind: 'dense', shape, values: await table('lm_head.weight') },
    bias: await dense('lm_head.bias'),
  };
  const quantized = blocks
    .flatMap(({ linears }) => Object.values(linears))
    .filter(({ weight }) => weight.kind === 'nf4').length;
  return {
    weights: { embedding, blocks, finalNorm, head },
    report: { peakHostBytes: loader.peakHostBytes, quantized },
    pages,
  };
}
