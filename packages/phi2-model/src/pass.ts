import type { Backend, Tensor } from '@qlorajs/compute';
import type { LoraAdapter } from '@qlorajs/lora';
import type { PhiConfig } from './config.js';
import type { RotaryTable } from './rotary-table.js';
import type { PhiWeights } from './weights.js';
import type { Workspace } from './workspace.js';

/** Keys and values of earlier positions, a pair of `[B, capacity, C]` tensors a layer. */
export interface KeyValueCache {
  readonly capacity: number;
  readonly layers: readonly { readonly k: Tensor; readonly v: Tensor }[];
  /** i32 `[B * T]`: the cache row that each query row of this pass writes. */
  readonly slots: Tensor;
}

/** Everything a forward or backward pass over one batch shares. */
export interface Pass {
  readonly backend: Backend;
  readonly config: PhiConfig;
  readonly weights: PhiWeights;
  readonly rotary: RotaryTable;
  readonly adapter: LoraAdapter | null;
  /** f32 `[V]`; null where PEFT computes the adapter's head without it. */
  readonly headBias: Tensor | null;
  readonly workspace: Workspace;
  /** B */
  readonly batch: number;
  /** T */
  readonly length: number;
  /** i32 `[B * T]` */
  readonly positions: Tensor;
  /** i32 `[B]` */
  readonly keyLengths: Tensor;
  /** i32 `[B]`, with a cache. */
  readonly queryStart: Tensor | null;
  /** i32 `[B, T]`, with packing. */
  readonly firstKeys: Tensor | null;
  /** Seed of this micro-batch's masks while training; null: no dropout. */
  readonly dropoutSeed: number | null;
  readonly cache: KeyValueCache | null;
}

/** B * T */
export function rowsOf(pass: Pass): number {
  return pass.batch * pass.length;
}
