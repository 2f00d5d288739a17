import { type LinearWeight, type Tensor, weightTensors } from '@qlorajs/compute';
import { BLOCK_LINEARS, type BlockLinear } from './tensors.js';

/** A frozen linear layer on the device. */
export interface FrozenLinear {
  readonly weight: LinearWeight;
  /** f32 `[out]` */
  readonly bias: Tensor;
}

/** A layer norm's frozen parameters, f32 `[C]`. */
export interface FrozenNorm {
  readonly weight: Tensor;
  readonly bias: Tensor;
}

/** One block. */
export interface BlockWeights {
  readonly linears: Readonly<Record<BlockLinear, FrozenLinear>>;
  readonly norm: FrozenNorm;
}

/** All of a Phi model's frozen weights on a device. */
export interface PhiWeights {
  /** f32 or f16 `[V, C]`; rows of added tokens are overwritten while an adapter that trains them is attached. */
  readonly embedding: Tensor;
  readonly blocks: readonly BlockWeights[];
  readonly finalNorm: FrozenNorm;
  /** Dense, `[V, C]`, never quantized (as bitsandbytes leaves it). */
  readonly head: FrozenLinear;
}

const linearTensors = ({ weight, bias }: FrozenLinear) => [...weightTensors(weight), bias];
const normTensors = ({ weight, bias }: FrozenNorm) => [weight, bias];

/** Every tensor of a block, once. */
export function blockTensors(block: BlockWeights): Tensor[] {
  return [
    ...BLOCK_LINEARS.flatMap((name) => linearTensors(block.linears[name])),
    ...normTensors(block.norm),
  ];
}

/** The tensors outside the blocks. */
export function outerTensors({ embedding, finalNorm, head }: PhiWeights): Tensor[] {
  return [embedding, ...normTensors(finalNorm), ...linearTensors(head)];
}

/** Every tensor of the weights, once. */
export function allTensors(weights: PhiWeights): Tensor[] {
  return [...weights.blocks.flatMap(blockTensors), ...outerTensors(weights)];
}
