import {
  checkLinear,
  checkLinearBackward,
  type LinearArgs,
  type LinearBackwardArgs,
  type MatmulArgs,
  type Tensor,
  weightTensors,
} from '@qlorajs/compute';
import { storageOf } from '../../device/storage.js';
import type { Engine } from '../../engine.js';
import {
  linear,
  linearBackward,
  linearBackwardTakesLowRank,
  linearTakesLowRank,
} from './linear.js';
import { type LowRank, takesLowRank } from './low-rank.js';

/** A product that was asked for and not yet recorded. */
interface Held {
  readonly rows: number;
  readonly columns: number;
  readonly out: Tensor;
  readonly inputs: readonly Tensor[];
  /** Whether the factor of a low-rank update is `[columns, rank]`, rather than `[rank, columns]`. */
  readonly factorOfRows: boolean;
  readonly takesLowRank: boolean;
  run(lowRank: LowRank | null): void;
}

const same = (a: Tensor, b: Tensor) => storageOf(a) === storageOf(b);

/** out += scale * hidden factor, as an adapter adds to the product in `held`. */
function lowRankOf(held: Held, args: MatmulArgs): LowRank | null {
  const { a, b, out, m, n, k, transposeA, transposeB, alpha, beta } = args;
  const fits =
    held.takesLowRank &&
    beta === 1 &&
    !transposeA &&
    transposeB === held.factorOfRows &&
    m === held.rows &&
    n === held.columns &&
    same(out, held.out) &&
    out.offset === held.out.offset &&
    !same(a, out) &&
    !same(b, out);
  const lowRank = { hidden: a, factor: b, rank: k, scale: alpha };
  return fits && takesLowRank(lowRank) ? lowRank : null;
}

/**
 * Keeps a linear layer's product back until the next operation: where that adds an adapter's low-rank
 * update to its output, both are one kernel, and the output is written once. Small products that
 * neither touch its output nor change its inputs may go first, since an adapter's hidden rows are
 * computed between the two.
 */
export class HeldProduct {
  readonly #engine: Engine;
  #held: Held | null = null;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  linear(args: LinearArgs): void {
    checkLinear(args);
    this.flush();
    const { x, weight, bias, out } = args;
    const columns = weight.shape[0];
    this.#held = {
      rows: out.size / columns,
      columns,
      out,
      inputs: [x, ...weightTensors(weight), ...(bias ? [bias] : [])],
      factorOfRows: true,
      takesLowRank: linearTakesLowRank(this.#engine, args),
      run: (lowRank) => linear(this.#engine, args, lowRank),
    };
  }

  linearBackward(args: LinearBackwardArgs): void {
    checkLinearBackward(args);
    this.flush();
    const { dOut, weight, dX } = args;
    const columns = weight.shape[1];
    this.#held = {
      rows: dX.size / columns,
      columns,
      out: dX,
      inputs: [dOut, ...weightTensors(weight)],
      factorOfRows: false,
      takesLowRank: linearBackwardTakesLowRank(this.#engine, args),
      run: (lowRank) => linearBackward(this.#engine, args, lowRank),
    };
  }

  /** Gives `args` to the product that is held; else that is recorded first where the order matters. */
  takes(args: MatmulArgs): boolean {
    const held = this.#held;
    if (!held) return false;
    const lowRank = lowRankOf(held, args);
    if (lowRank) {
      this.#held = null;
      held.run(lowRank);
      return true;
    }
    const { a, b, out } = args;
    const apart =
      !same(out, held.out) &&
      !same(a, held.out) &&
      !same(b, held.out) &&
      !held.inputs.some((input) => same(input, out));
    if (!apart) this.flush();
    return false;
  }

  /**
   * A tensor goes: what is held is recorded first where it uses it, and kept back where it does not, so
   * that whether memory was needed in between makes no difference to a sum's rounding.
   */
  release(tensor: Tensor): void {
    const held = this.#held;
    if (held && [held.out, ...held.inputs].some((each) => same(each, tensor))) this.flush();
  }

  /** Records the product that is held. */
  flush(): void {
    const held = this.#held;
    if (!held) return;
    this.#held = null;
    held.run(null);
  }
}
