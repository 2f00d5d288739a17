import type { Tensor } from '@qlorajs/compute';

/** The same elements in fewer tensors: neighbours in one storage become one. */
export function contiguous(tensors: readonly Tensor[]): Tensor[] {
  const merged: Tensor[] = [];
  for (const tensor of tensors) {
    const last = merged.at(-1);
    const follows =
      last !== undefined &&
      last.storage === tensor.storage &&
      last.dtype === tensor.dtype &&
      last.offset + last.size === tensor.offset;
    if (follows) {
      const size = last.size + tensor.size;
      merged[merged.length - 1] = { ...last, size, shape: [size] };
    } else merged.push(tensor);
  }
  return merged;
}
