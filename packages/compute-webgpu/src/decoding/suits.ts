import type { DecodeBlockArgs, DecodedLinear, Tensor } from '@qlorajs/compute';
import { storageOf } from '../device/storage.js';
import type { Engine } from '../engine.js';
import { WIDEST } from '../wgsl/half-row.js';

/** The layers that read the normalized row, and those whose sum is the block's output. */
export const READERS = ['q', 'k', 'v', 'fc1'] as const;
export const SUMMED = ['dense', 'fc2'] as const;

export function rankOf(args: DecodeBlockArgs, name: DecodedLinear): number {
  return args[name].update?.rank ?? 0;
}

/** All of a storage, for offsets that count from its beginning. */
function wholeOf(tensor: Tensor): Tensor {
  const size = storageOf(tensor).bytes / 4;
  return { ...tensor, offset: 0, size, shape: [size] };
}

/**
 * What the adapter's matrices lie in, all of it.
 * @returns null without adapter, undefined where they are not in one buffer or not read 16 bytes at a time
 */
export function factorsOf(args: DecodeBlockArgs): Tensor | null | undefined {
  const tensors = [...READERS, ...SUMMED].flatMap((name) => {
    const { update } = args[name];
    return update ? [update.a, update.b] : [];
  });
  if (tensors.length === 0) return null;
  const [first] = tensors;
  const fits = tensors.every(
    (each) => storageOf(each) === storageOf(first) && each.offset % 4 === 0,
  );
  return fits ? wholeOf(first) : undefined;
}

/** Whether the kernels of this folder can do it. */
export function suits(engine: Engine, args: DecodeBlockArgs): boolean {
  const { h, headDim, rotaryDim, keys, values } = args;
  const linears = [...READERS, ...SUMMED];
  const small = (tensor: Tensor) => storageOf(tensor).bytes <= engine.maxBinding;
  const weights = linears.map((name) => args[name].weight);
  const factors = factorsOf(args);
  return (
    weights.every(
      (weight) =>
        weight.kind === 'nf4' &&
        weight.shape[1] % weight.blockSize === 0 &&
        weight.blockSize % 8 === 0 &&
        weight.codes.offset % 4 === 0 &&
        small(weight.codes),
    ) &&
    factors !== undefined &&
    (factors === null || small(factors)) &&
    h.size % 4 === 0 &&
    h.size <= WIDEST &&
    headDim % 4 === 0 &&
    headDim <= 128 &&
    rotaryDim % 8 === 0 &&
    [h, args.norm.weight, args.norm.bias, keys, values].every(({ offset }) => offset % 4 === 0) &&
    small(keys) &&
    small(values)
  );
}
