import type { Tensor } from '@qlorajs/compute';
import { QLoraError } from '@qlorajs/errors';
import type { Engine } from '../engine.js';
import { integersOf } from '../storage.js';

/**
 * The integers of a tensor, all of them at least `least` and below `end`.
 * @throws QLoraError `COMPUTE_INDEX`: a kernel would read beyond a tensor
 */
export function expectIndices(
  engine: Engine,
  op: string,
  name: string,
  tensor: Tensor,
  least: number,
  end: number,
): Int32Array {
  const values = integersOf(engine, tensor);
  const wrong = values.findIndex((value) => value < least || value >= end);
  if (wrong < 0) return values;
  throw new QLoraError(
    'COMPUTE_INDEX',
    `${op}: ${name}[${wrong}] is ${values[wrong]}, which must be below ${end} and at least ${least}`,
    { kind: 'runtime', details: { op, name, index: wrong, value: values[wrong], end } },
  );
}
