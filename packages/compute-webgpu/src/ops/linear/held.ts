import {
  BYTES_PER_ELEMENT,
  byteLengthOf,
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
  linearBackwardTakesLowRank,
  linearLayers,
  linearLayersBackward,
  linearTakesLowRank,
} from './linear.js';
import { type LowRank, takesLowRank } from './low-rank.js';

/** A product that was asked for and not yet recorded. */
interface Held {
  /** Of the output. */
  readonly rows: number;
  readonly columns: number;
  readonly out: Tensor;
  readonly inputs: readonly Tensor[];
  readonly takesLowRank: boolean;
  /** An adapter's update of it. */
  lowRank: LowRank | null;
  readonly args:
    | { readonly kind: 'forward'; readonly part: LinearArgs }
    | { readonly kind: 'backward'; readonly part: LinearBackwardArgs };
}

/** Products that are held back at one time: q, k and v. */
const MOST = 3;

function inputsOf({ inputs, lowRank }: Held): readonly Tensor[] {
  return lowRank ? [...inputs, lowRank.hidden, lowRank.factor] : inputs;
}

const isSame = (a: Tensor, b: Tensor) =>
  storageOf(a) === storageOf(b) && a.offset === b.offset && a.size === b.size;

/** Whether two tensors have elements in common. */
function overlap(a: Tensor, b: Tensor): boolean {
  if (storageOf(a) !== storageOf(b)) return false;
  const [fromA, fromB] = [a, b].map((each) => each.offset * BYTES_PER_ELEMENT[each.dtype]);
  return fromA < fromB + byteLengthOf(b) && fromB < fromA + byteLengthOf(a);
}

/** out += scale * hidden factor, as an adapter adds to the product in `held`. */
function lowRankOf(held: Held, args: MatmulArgs): LowRank | null {
  const { a, b, out, m, n, k, transposeA, transposeB, alpha, beta } = args;
  const fits =
    held.takesLowRank &&
    held.lowRank === null &&
    beta === 1 &&
    !transposeA &&
    transposeB === (held.args.kind === 'forward') &&
    m === held.rows &&
    n === held.columns &&
    isSame(out, held.out) &&
    !overlap(a, out) &&
    !overlap(b, out);
  const lowRank = { hidden: a, factor: b, rank: k, scale: alpha };
  return fits && takesLowRank(lowRank) ? lowRank : null;
}

/** Whether `next` can be computed at one time with what is held: of one input, or to one sum. */
function belongs(held: readonly Held[], next: Held): boolean {
  const [first] = held;
  if (held.length === MOST || first.args.kind !== next.args.kind) return false;
  if (first.args.kind === 'forward' && next.args.kind === 'forward')
    return (
      isSame(first.args.part.x, next.args.part.x) &&
      !held.some((each) => [each.out, ...inputsOf(each)].some((its) => overlap(its, next.out))) &&
      !held.some(({ out }) => next.inputs.some((each) => overlap(each, out)))
    );
  return (
    next.args.kind === 'backward' &&
    next.args.part.accumulate &&
    isSame(first.out, next.out) &&
    !next.inputs.some((each) => overlap(each, next.out))
  );
}

/**
 * Keeps linear layers' products back until an operation comes that is none of theirs: where that adds an
 * adapter's low-rank update to an output, both are one kernel, and products of one input, or of one
 * sum, are computed at one time. Small products that neither touch an output nor change an input may
 * go first, since an adapter's hidden rows are computed between the two.
 */
export class HeldProduct {
  readonly #engine: Engine;
  #held: Held[] = [];

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  linear(part: LinearArgs): void {
    checkLinear(part);
    const { x, weight, bias, out } = part;
    const columns = weight.shape[0];
    this.#hold({
      rows: out.size / columns,
      columns,
      out,
      inputs: [x, ...weightTensors(weight), ...(bias ? [bias] : [])],
      takesLowRank: linearTakesLowRank(this.#engine, part),
      lowRank: null,
      args: { kind: 'forward', part },
    });
  }

  linearBackward(part: LinearBackwardArgs): void {
    checkLinearBackward(part);
    const { dOut, weight, dX } = part;
    const columns = weight.shape[1];
    this.#hold({
      rows: dX.size / columns,
      columns,
      out: dX,
      inputs: [dOut, ...weightTensors(weight)],
      takesLowRank: linearBackwardTakesLowRank(this.#engine, part),
      lowRank: null,
      args: { kind: 'backward', part },
    });
  }

  #hold(next: Held): void {
    if (this.#held.length > 0 && !belongs(this.#held, next)) this.flush();
    this.#held.push(next);
  }

  /** Gives `args` to a product that is held; else those are recorded first where the order matters. */
  takes(args: MatmulArgs): boolean {
    for (const held of this.#held) {
      const lowRank = lowRankOf(held, args);
      if (!lowRank) continue;
      held.lowRank = lowRank;
      if (this.#held.every((each) => each.lowRank)) this.flush();
      return true;
    }
    const { a, b, out } = args;
    const apart = this.#held.every(
      (held) =>
        ![a, b, out].some((each) => overlap(each, held.out)) &&
        !inputsOf(held).some((input) => overlap(input, out)),
    );
    if (!apart) this.flush();
    return false;
  }

  /**
   * A tensor goes: what is held is recorded first where it uses it, and kept back where it does not, so
   * that whether memory was needed in between makes no difference to a sum's rounding.
   */
  release(tensor: Tensor): void {
    const uses = (held: Held) =>
      [held.out, ...inputsOf(held)].some((each) => storageOf(each) === storageOf(tensor));
    if (this.#held.some(uses)) this.flush();
  }

  /** Records the products that are held. */
  flush(): void {
    const held = this.#held;
    if (held.length === 0) return;
    this.#held = [];
    const forward = held.flatMap(({ args, lowRank }) =>
      args.kind === 'forward' ? [{ part: args.part, lowRank }] : [],
    );
    const backward = held.flatMap(({ args, lowRank }) =>
      args.kind === 'backward' ? [{ part: args.part, lowRank }] : [],
    );
    if (forward.length > 0) linearLayers(this.#engine, forward);
    else linearLayersBackward(this.#engine, backward);
  }
}
