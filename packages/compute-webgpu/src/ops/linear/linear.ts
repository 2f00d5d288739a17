import {
  BYTES_PER_ELEMENT,
  type LinearArgs,
  type LinearBackwardArgs,
  type LinearWeight,
} from '@qlorajs/compute';
import { slice } from '../../device/storage.js';
import type { Engine } from '../../engine.js';
import { canJoinRows } from './half-operands.js';
import { areAlike, hasHalves } from './half-weights.js';
import { type LinearPart, linearBackwardF32, linearF32 } from './linear-f32.js';
import { type Adapted, linearBackwardHalf, linearHalf } from './linear-half.js';
import { isFewRows, linearRows } from './linear-rows.js';
import type { LowRank } from './low-rank.js';

/** Rows [first, first + count) of a weight. */
interface WeightPart {
  readonly weight: LinearWeight;
  readonly first: number;
  readonly count: number;
}

/** The weight in parts that one dispatch can bind: one part, but for embeddings on small devices. */
function weightParts(engine: Engine, weight: LinearWeight): WeightPart[] {
  const [rows, width] = weight.shape;
  if (weight.kind !== 'dense') return [{ weight, first: 0, count: rows }];
  const rowBytes = width * BYTES_PER_ELEMENT[weight.values.dtype];
  if (rows * rowBytes <= engine.maxBinding) return [{ weight, first: 0, count: rows }];
  // One row less than fit, for the bytes that aligning the start adds.
  const fit = Math.max(1, Math.floor(engine.maxBinding / rowBytes) - 1);
  return Array.from({ length: Math.ceil(rows / fit) }, (_, i) => {
    const first = i * fit;
    const count = Math.min(fit, rows - first);
    const values = slice(weight.values, first * width, count * width);
    return { weight: { kind: 'dense', shape: [count, width] as const, values }, first, count };
  });
}

/** Whether the update of an adapter can be added while the product is written. */
function canAddLowRank(engine: Engine, weight: LinearWeight): boolean {
  return engine.tier !== 'f32' && hasHalves(weight) && weightParts(engine, weight).length === 1;
}

function linear(engine: Engine, args: LinearArgs, lowRank: LowRank | null): void {
  const { bias, out } = args;
  for (const { weight, first, count } of weightParts(engine, args.weight)) {
    const part: LinearPart = {
      ...args,
      weight,
      bias: bias && slice(bias, first, count),
      out: slice(out, first, out.size - first),
      outStride: args.weight.shape[0],
    };
    if (isFewRows(part)) linearRows(engine, part, lowRank);
    else if (engine.tier !== 'f32' && hasHalves(weight)) linearHalf(engine, [{ part, lowRank }]);
    else linearF32(engine, part);
  }
}

/** Whether kernels can compute the products of these layers at one time. */
function areTogether(
  engine: Engine,
  layers: readonly Adapted<{ readonly weight: LinearWeight }>[],
): boolean {
  const weights = layers.map(({ part }) => part.weight);
  const ranks = layers.map(({ lowRank }) => lowRank?.rank ?? 0);
  return (
    engine.tier === 'matrix' &&
    layers.length > 1 &&
    areAlike(weights) &&
    weights.every((weight) => hasHalves(weight) && weightParts(engine, weight).length === 1) &&
    ranks.every((rank) => rank === ranks[0])
  );
}

/** {@link linear} of layers that share x. */
export function linearLayers(engine: Engine, layers: readonly Adapted<LinearArgs>[]): void {
  const parts = layers.map(({ part, lowRank }) => {
    return { part: { ...part, outStride: part.weight.shape[0] }, lowRank };
  });
  const [first] = parts;
  const same = ({ part }: Adapted<LinearPart>) =>
    part.accumulate === first.part.accumulate &&
    (part.bias === null) === (first.part.bias === null);
  if (areTogether(engine, layers) && parts.every(same) && !isFewRows(first.part))
    linearHalf(engine, parts);
  else for (const { part, lowRank } of layers) linear(engine, part, lowRank);
}

/** {@link linearBackward} of layers that add to one dX. */
export function linearLayersBackward(
  engine: Engine,
  layers: readonly Adapted<LinearBackwardArgs>[],
): void {
  const [{ part: first }] = layers;
  const [width] = first.weight.shape;
  const gradients = layers.map(({ part }) => part.dOut);
  const isQuantized = first.weight.kind === 'nf4';
  if (areTogether(engine, layers) && isQuantized && canJoinRows(gradients, width))
    linearBackwardHalf(
      engine,
      layers.map(({ part, lowRank }) => ({ part: { ...part, dOutStride: width }, lowRank })),
    );
  else for (const { part, lowRank } of layers) linearBackward(engine, part, lowRank);
}

/** Whether {@link linear} would add an adapter's update itself. */
export function linearTakesLowRank(engine: Engine, args: LinearArgs): boolean {
  const { weight } = args;
  if (weightParts(engine, weight).length > 1) return false;
  return isFewRows({ ...args, outStride: weight.shape[0] }) || canAddLowRank(engine, weight);
}

function linearBackward(engine: Engine, args: LinearBackwardArgs, lowRank: LowRank | null): void {
  const { dOut } = args;
  for (const { weight, first } of weightParts(engine, args.weight)) {
    const part = {
      ...args,
      weight,
      dOut: slice(dOut, first, dOut.size - first),
      dOutStride: args.weight.shape[0],
      accumulate: args.accumulate || first > 0,
    };
    if (engine.tier !== 'f32' && hasHalves(weight)) linearBackwardHalf(engine, [{ part, lowRank }]);
    else linearBackwardF32(engine, part);
  }
}

/** Whether {@link linearBackward} would add an adapter's update itself. */
export function linearBackwardTakesLowRank(
  engine: Engine,
  { weight }: LinearBackwardArgs,
): boolean {
  return canAddLowRank(engine, weight);
}
