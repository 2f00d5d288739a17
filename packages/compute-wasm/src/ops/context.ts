import { nameOf, type Tensor } from '@qlorajs/compute';
import { QLoraError } from '@qlorajs/errors';
import type { Engine } from '../engine/engine.js';
import { addressOf } from '../tensors.js';

/** The address of a tensor's first element; 0 for an absent one. */
export function at(engine: Engine, tensor: Tensor | null): number {
  return tensor ? addressOf(engine.heap, tensor) : 0;
}

/** Elements of a chunk of the elementwise kernels; kept in step with assembly/control.ts. */
const CHUNK_ELEMENTS = 16384;

/** Rows of a chunk of `rotary` and `gatherRows`; kept in step with assembly/control.ts. */
export const CHUNK_ROWS = 16;

export function elementChunks(size: number): number {
  return Math.ceil(size / CHUNK_ELEMENTS);
}

/**
 * Integers from the caller become addresses in the kernels, where a wrong one would reach other
 * tensors: so each is looked at first.
 * @throws QLoraError `COMPUTE_INDEX` for an element above `most`, or below `least`.
 */
export function expectIntegers(
  engine: Engine,
  op: string,
  what: string,
  tensor: Tensor,
  least: number,
  most: number,
): void {
  const { i32 } = engine.heap;
  const start = at(engine, tensor) / 4;
  for (let i = 0; i < tensor.size; i++) {
    const value = i32[start + i];
    if (value >= least && value <= most) continue;
    throw new QLoraError(
      'COMPUTE_INDEX',
      `${op}: ${what}[${i}] is ${value}, outside ${least} to ${most} (tensor ${nameOf(tensor)})`,
      { kind: 'runtime', details: { op, what, index: i, value, least, most } },
    );
  }
}

/** For integers of which negative ones mean "none". */
export const ANY_NEGATIVE = -(2 ** 31);
