import type { Pager } from '@qlorajs/paged-optim';
import type { Nf4Tensor } from '@qlorajs/quant-nf4';

/** How to load. */
export interface LoadOptions {
  /** NF4 for the blocks' linear layers; null keeps them in f32. A 4-bit checkpoint stays 4-bit. */
  readonly quantize: { readonly doubleQuant: boolean } | null;
  /**
   * Keeps embedding and head in f16 where the checkpoint has them in F16 or BF16 (default false): half
   * the memory, for backends that scatter rows into f16. F16 is kept exactly; BF16 below 2^-14 is
   * rounded.
   */
  readonly halfTables?: boolean;
  /** Called after every tensor with how many are done. */
  readonly onTensor?: (done: number, total: number, name: string) => void;
  /** Takes every weight that was quantized while loading, to keep it; it is waited for. */
  readonly onQuantized?: (name: string, tensor: Nf4Tensor) => Promise<void>;
  readonly signal?: AbortSignal;
  /** Makes pages of the blocks: those that it has no room for are on the host until they are used. */
  readonly pager?: Pager;
}

/** What loading cost. */
export interface LoadReport {
  /** Largest sum of host bytes held at once for one tensor: as read, widened, quantized. */
  readonly peakHostBytes: number;
  /** Linear layers that are NF4 on the device. */
  readonly quantized: number;
}
