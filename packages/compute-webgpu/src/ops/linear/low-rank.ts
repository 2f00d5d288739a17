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

/** What tells the names of several shares of one product apart. */
export function suffixOf(i: number): string {
  return i === 0 ? '' : `${i}`;
}

export function lowRankBindings(
  lowRank: LowRank | null,
  forward: boolean,
  suffix = '',
): KernelSpec['bindings'] {
  if (!lowRank) return {};
  return {
    [`hidden${suffix}`]: read('vec4f'),
    [`factor${suffix}`]: read(forward ? 'vec4f' : 'f32'),
  };
}

export function lowRankTensors(lowRank: LowRank | null, suffix = ''): Record<string, Tensor> {
  if (!lowRank) return {};
  return { [`hidden${suffix}`]: lowRank.hidden, [`factor${suffix}`]: lowRank.factor };
}

/** Brings the factor of column `n` to registers. */
export function lowRankColumn(lowRank: LowRank | null, forward: boolean, suffix = ''): string {
  if (!lowRank) return '';
  const { rank } = lowRank;
  if (forward)
    return each(
      rank / 4,
      (i) =>
        `let factor${suffix}_${i} = factor${suffix}[(p.factor${suffix}At + min(n, p.n - 1u) * ${rank}u) / 4u + ${i}u];`,
    );
  const at = (j: number) => `factor${suffix}[p.factor${suffix}At + ${j}u * p.n + min(n, p.n - 1u)]`;
  return each(
    rank / 4,
    (i) => `let factor${suffix}_${i} = vec4f(${each(4, (c) => at(4 * i + c), ', ')});`,
  );
}

/** What is added at row `m` and the column. */
export function lowRankTerm(lowRank: LowRank | null, suffix = ''): string {
  if (!lowRank) return '';
  const { rank } = lowRank;
  const dots = each(
    rank / 4,
    (i) =>
      `dot(hidden${suffix}[(p.hidden${suffix}At + m * ${rank}u) / 4u + ${i}u], factor${suffix}_${i})`,
    ' + ',
  );
  return ` + p.lowScale${suffix} * (${dots})`;
}

/** Names it in a kernel's key. */
export function lowRankKey(lowRank: LowRank | null): string {
  return lowRank ? ` rank ${lowRank.rank}` : '';
}
