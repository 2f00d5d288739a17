import { checkQuantizeNf4, type QuantizeNf4Args } from '@qlorajs/compute';
import type { Engine } from '../engine/engine.js';
import { at } from './context.js';

/** Blocks of a chunk; kept in step with assembly/quantize.ts. */
const CHUNK_BLOCKS = 64;

const KIND = { f32: 0, f16: 1, bf16: 2 } as const;

export function quantizeNf4(engine: Engine, args: QuantizeNf4Args): void {
  const count = checkQuantizeNf4(args);
  const { stored, dtype, blockSize, codes, absmax } = args;
  // The block in f32, with the zeros that fill up its last eight values.
  engine.reserveScratch(0, 4 * (blockSize + 8));
  engine.run('quantizeNf4', {
    chunks: Math.ceil(absmax.size / CHUNK_BLOCKS),
    integers: [
      ...[stored, codes, absmax].map((tensor) => at(engine, tensor)),
      ...[count, blockSize, KIND[dtype]],
    ],
    work: 8 * count,
  });
}
