import type { Backend, Tensor } from '@qlorajs/compute';
import type { LoraAdapter } from '@qlorajs/lora';
import type { PhiConfig } from './config.js';
import type { DoraNorms } from './dora-norms.js';
import type { RotaryTable } from './rotary-table.js';
import type { PhiWeights } from './weights.js';
import type { Workspace } from './workspace.js';

/** Keys and values of one sequence's earlier positions, a pair of `[capacity, C]` tensors a layer. */
export interface KeyValueCache {
  readonly capacity: number;
  readonly layers: readonly { readonly k: Tensor; readonly v: Tensor }[];
}

/** Consecutive rows of a pass, counted in tokens, and whose adapter serves them; null: the base. */
export interface AdapterRun {
  readonly adapter: LoraAdapter | null;
  readonly start: number;
  readonly count: number;
}

/** Everything a forward or backward pass over one batch shares. */
export interface Pass {
  readonly backend: Backend;
  readonly config: PhiConfig;
  readonly weights: PhiWeights;
  readonly rotary: RotaryTable;
  /** The adapter of all rows; null with none, and where rows have adapters of their own. */
  readonly adapter: LoraAdapter | null;
  /** Of that adapter, with DoRA. */
  readonly doraNorms: DoraNorms | null;
  /** Every row once, in order. */
  readonly runs: readonly AdapterRun[];
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
  /** Where this pass's tokens begin among those that share the masks. */
  readonly firstToken: number;
  /** One a batch row: each sequence has a cache of its own. */
  readonly caches: readonly KeyValueCache[] | null;
  /** i32 `[B * T]`: the row of its cache that each row of this pass writes. */
  readonly slots: Tensor | null;
}

/** B * T */
export function rowsOf(pass: Pass): number {
  return pass.batch * pass.length;
}

/** Rows `start`, `start + 1`, … of a tensor whose first dimension is the pass's rows. */
export function someRows(pass: Pass, tensor: Tensor, start: number, count: number): Tensor {
  const total = rowsOf(pass);
  if (start === 0 && count === total) return tensor;
  const width = tensor.size / total;
  return pass.backend.view(tensor, start * width, [count, width]);
}

/** Runs of rows from the adapter of every batch row, `length` tokens each; neighbours that share one are one run. */
export function runsOf(
  adapters: readonly (LoraAdapter | null)[],
  length: number,
): readonly AdapterRun[] {
  const runs: AdapterRun[] = [];
  adapters.forEach((adapter, b) => {
    const last = runs.at(-1);
    if (last?.adapter === adapter) runs[runs.length - 1] = { ...last, count: last.count + length };
    else runs.push({ adapter, start: b * length, count: length });
  });
  return runs;
}
