/// <reference types="@webgpu/types" />
import type { Tensor } from '@qlorajs/compute';

/** What a tensor's `storage` is here. */
export interface GpuStorage {
  readonly id: number;
  readonly buffer: GPUBuffer;
  /** Size of the buffer: the elements, rounded up to whole 32-bit words. */
  readonly bytes: number;
  /** The recording that last used it: while that one is open, the buffer must not change under it. */
  recording: number;
  /** Counts the writes, so that what was derived from the elements can be told from stale. */
  version: number;
  /** Bind groups that hold it, to drop when it is freed. */
  readonly bindGroups: Set<BindGroupSlot>;
}

/** Where a cached bind group lives. */
interface BindGroupSlot {
  readonly cache: Map<string, GPUBindGroup>;
  readonly key: string;
}

export function storageOf(tensor: Tensor): GpuStorage {
  return tensor.storage as GpuStorage;
}

/** The part of a tensor from element `offset` on, as a tensor of `size` elements. */
export function slice(tensor: Tensor, offset: number, size: number): Tensor {
  return { ...tensor, offset: tensor.offset + offset, size, shape: [size] };
}
