import {
  type AxpbyArgs,
  bitsThreshold,
  checkAxpby,
  checkDropout,
  checkFill,
  checkGelu,
  checkGeluBackward,
  counterKey,
  type DropoutArgs,
  type FillArgs,
  type GeluArgs,
  type GeluBackwardArgs,
} from '@qlorajs/compute';
import type { Engine } from '../engine/engine.js';
import { at, elementChunks } from './context.js';

export function axpby(engine: Engine, args: AxpbyArgs): void {
  checkAxpby(args);
  const { x, out, alpha, beta } = args;
  engine.run('axpby', {
    chunks: elementChunks(x.size),
    integers: [at(engine, x), at(engine, out), x.size],
    floats: [alpha, beta],
    work: x.size,
  });
}

export function fill(engine: Engine, args: FillArgs): void {
  checkFill(args);
  const { out, value } = args;
  engine.run('fill', {
    chunks: elementChunks(out.size),
    integers: [at(engine, out), out.size],
    floats: [value],
    work: out.size,
  });
}

export function gelu(engine: Engine, args: GeluArgs): void {
  checkGelu(args);
  const { x, out } = args;
  engine.run('gelu', {
    chunks: elementChunks(x.size),
    integers: [at(engine, x), at(engine, out), x.size],
    work: 10 * x.size,
  });
}

export function geluBackward(engine: Engine, args: GeluBackwardArgs): void {
  checkGeluBackward(args);
  const { dOut, x, dX } = args;
  engine.run('geluBackward', {
    chunks: elementChunks(x.size),
    integers: [at(engine, dOut), at(engine, x), at(engine, dX), x.size],
    work: 10 * x.size,
  });
}

export function dropout(engine: Engine, args: DropoutArgs): void {
  checkDropout(args);
  const { x, out, probability, seed, stream, accumulate } = args;
  const { first, second } = counterKey(seed, stream);
  // The index of an element is added to the first key.
  const start = first + (args.first ?? 0);
  const tensors = [at(engine, x), at(engine, out)];
  const threshold = bitsThreshold(probability);
  engine.run('dropout', {
    chunks: elementChunks(x.size),
    integers: [...tensors, x.size, start, second, threshold, accumulate ? 1 : 0],
    floats: [1 / (1 - probability)],
    work: 5 * x.size,
  });
}
