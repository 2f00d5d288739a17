import type { Tensor } from '@qlorajs/compute';
import { type KernelSpec, read } from '../../device/kernel.js';

/** scale * hidden factor: an adapter's share of a linear layer. */
export interface LowRank {
  /** f32 `[m, rank]` */
  readonly hidden: Tensor;
  /** f32 `[n, rank]` in the forward, `[rank, n]` in the backward. */
  readonly factor: Tensor;
  readonly rank: number;
  readonly scale: number;
}

/** Ranks above take registers that the product needs. */
const MOST_RANKS = 32;

/** Whether a kernel can add it while it writes: rows are read 16 bytes at a time. */
export function takesLowRank({ hidden, factor, rank }: LowRank): boolean {
  return rank <= MOST_RANKS && [rank, hidden.offset, factor.offset].every((each) => each % 4 === 0);
}

const each = (count: number, text: (i: number) => string, glue = '\n') =>
  Array.from({ length: count }, (_, i) => text(i)).join(glue);

export function lowRankBindings(lowRank: LowRank | null, forward: boolean): KernelSpec['bindings'] {
  if (!lowRank) return {};
  return { hidden: read('vec4f'), factor: read(forward ? 'vec4f' : 'f32') };
}

export function lowRankTensors(lowRank: LowRank | null): Record<string, Tensor> {
  return lowRank ? { hidden: lowRank.hidden, factor: lowRank.factor } : {};
}

/** Brings the factor of column `n` to registers. */
export function lowRankColumn(lowRank: LowRank | null, forward: boolean): string {
  if (!lowRank) return '';
  const { rank } = lowRank;
  if (forward)
    return each(
      rank / 4,
      (i) => `let factor${i} = factor[(p.factorAt + min(n, p.n - 1u) * ${rank}u) / 4u + ${i}u];`,
    );
  const at = (j: number) => `factor[p.factorAt + ${j}u * p.n + min(n, p.n - 1u)]`;
  return each(rank / 4, (i) => `let factor${i} = vec4f(${each(4, (c) => at(4 * i + c), ', ')});`);
}

/** What is added at row `m` and the column. */
export function lowRankTerm(lowRank: LowRank | null): string {
  if (!lowRank) return '';
  const { rank } = lowRank;
  const dots = each(
    rank / 4,
    (i) => `dot(hidden[(p.hiddenAt + m * ${rank}u) / 4u + ${i}u], factor${i})`,
    ' + ',
  );
  return ` + p.lowScale * (${dots})`;
}

/** Names it in a kernel's key. */
export function lowRankKey(lowRank: LowRank | null): string {
  return lowRank ? ` rank ${lowRank.rank}` : '';
}
