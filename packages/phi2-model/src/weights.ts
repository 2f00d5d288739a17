import { type Backend, type LinearWeight, type Tensor, weightTensors } from '@qlorajs/compute';
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

/** Every tensor of the weights, once. */
export function allTensors(weights: PhiWeights): Tensor[] {
  const linear = ({ weight, bias }: FrozenLinear) => [...weightTensors(weight), bias];
  const norm = ({ weight, bias }: FrozenNorm) => [weight, bias];
  return [
    weights.embedding,
    ...weights.blocks.flatMap((block) => [
      ...BLOCK_LINEARS.flatMap((name) => linear(block.linears[name])),
      ...norm(block.norm),
    ]),
    ...norm(weights.finalNorm),
    ...linear(weights.head),
  ];
}

/** Gives the device memory of the weights back. */
export function freeWeights(backend: Backend, weights: PhiWeights): void {
  for (const tensor of allTensors(weights)) backend.free(tensor);
}
