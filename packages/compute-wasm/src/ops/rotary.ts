import { checkRotary, type RotaryArgs } from '@qlorajs/compute';
import { QLoraError } from '@qlorajs/errors';
import type { Engine } from '../engine/engine.js';
import { at, CHUNK_ROWS, expectIntegers } from './context.js';

export function rotary(engine: Engine, args: RotaryArgs): void {
  checkRotary(args);
  const { x, positions, cos, sin, heads, headDim, rotaryDim, inverse } = args;
  if (!(rotaryDim > 0 && rotaryDim % 2 === 0 && rotaryDim <= headDim))
    throw new QLoraError(
      'COMPUTE_SHAPE',
      `rotary: rotaryDim ${rotaryDim} must be even and at most headDim ${headDim}`,
      { kind: 'runtime', details: { op: 'rotary', rotaryDim, headDim } },
    );
  const last = Math.floor(cos.size / (rotaryDim / 2)) - 1;
  expectIntegers(engine, 'rotary', 'positions', positions, 0, last);
  const tensors = [x, positions, cos, sin].map((tensor) => at(engine, tensor));
  engine.run('rotary', {
    chunks: Math.ceil(positions.size / CHUNK_ROWS),
    integers: [...tensors, heads, headDim, rotaryDim / 2, positions.size],
    floats: [inverse ? -1 : 1],
    work: positions.size * heads * rotaryDim,
  });
}
