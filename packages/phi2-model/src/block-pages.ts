import type { LinearWeight, Tensor } from '@qlorajs/compute';
import type { Page, Pager } from '@qlorajs/paged-optim';
import { BLOCK_LINEARS, type BlockLinear } from './tensors.js';
import { type BlockWeights, blockTensors, type FrozenLinear } from './weights.js';

/** The same weight on other tensors, taken in the order of `weightTensors`. */
function weightOn(weight: LinearWeight, next: () => Tensor): LinearWeight {
  if (weight.kind === 'dense') return { ...weight, values: next() };
  const codes = next();
  const { scales } = weight;
  if (scales.kind === 'plain') return { ...weight, codes, scales: { ...scales, absmax: next() } };
  const [scaleCodes, absmax, codeMap] = [next(), next(), next()];
  return { ...weight, codes, scales: { ...scales, codes: scaleCodes, absmax, codeMap } };
}

/** The same block on other tensors, in the order of `blockTensors`. */
function blockOn(block: BlockWeights, tensors: readonly Tensor[]): BlockWeights {
  let at = 0;
  const next = () => tensors[at++];
  const linears: Partial<Record<BlockLinear, FrozenLinear>> = {};
  for (const name of BLOCK_LINEARS)
    linears[name] = { weight: weightOn(block.linears[name].weight, next), bias: next() };
  return {
    linears: linears as Record<BlockLinear, FrozenLinear>,
    norm: { weight: next(), bias: next() },
  };
}

/**
 * Frozen blocks that are on the device only while they are used, so that a base trains on a device
 * that does not hold it. They never change: a block is copied to the host once.
 */
export class BlockPages {
  readonly #pager: Pager;
  readonly #blocks: BlockWeights[];
  readonly #pages: Page[] = [];

  /** @param blocks `PhiWeights.blocks`: an entry is valid while its block is in use */
  constructor(pager: Pager, blocks: BlockWeights[]) {
    this.#pager = pager;
    this.#blocks = blocks;
  }

  /** Takes over the tensors of the block after the last one taken. */
  adopt(): void {
    const layer = this.#pages.length;
    const tensors = blockTensors(this.#blocks[layer]);
    this.#pages.push(this.#pager.adopt(`block ${layer}`, tensors));
  }

  /** Runs `work` with a block on the device; the one that is next in this direction is fetched meanwhile. */
  async on(layer: number, direction: 1 | -1, work: () => void): Promise<void> {
    const page = this.#pages[layer];
    this.#blocks[layer] = blockOn(this.#blocks[layer], await this.#pager.use(page, 'read'));
    try {
      const next = this.#pages[layer + direction];
      if (next) this.#pager.prefetch(next);
      work();
    } finally {
      this.#pager.release(page);
    }
  }

  /** {@link on} for every block, in order. */
  async each(layers: number, work: (layer: number) => void): Promise<void> {
    for (let layer = 0; layer < layers; layer++) await this.on(layer, 1, () => work(layer));
  }

  dispose(): void {
    for (const page of this.#pages.splice(0)) this.#pager.free(page);
  }
}
