import { checkGatherRows, checkScatterRows, type RowsArgs } from '@qlorajs/compute';
import { QLoraError } from '@qlorajs/errors';
import type { Engine } from '../engine/engine.js';
import { ANY_NEGATIVE, at, CHUNK_ROWS, expectIntegers } from './context.js';

/** Columns of a chunk; kept in step with assembly/rows.ts. */
const SCATTER_COLUMNS = 128;

function integers(engine: Engine, { source, ids, out, width }: RowsArgs): number[] {
  const tensors = [at(engine, source), at(engine, ids), at(engine, out)];
  return [...tensors, ids.size, width, source.dtype === 'f16' ? 1 : 0];
}

export function gatherRows(engine: Engine, args: RowsArgs): void {
  checkGatherRows(args);
  const { source, ids, width } = args;
  if (source.dtype !== 'f32' && source.dtype !== 'f16')
    throw new QLoraError('COMPUTE_SHAPE', `gatherRows: source is ${source.dtype}, not f32 or f16`, {
      kind: 'runtime',
      details: { op: 'gatherRows', dtype: source.dtype },
    });
  const last = Math.floor(source.size / width) - 1;
  expectIntegers(engine, 'gatherRows', 'ids', ids, ANY_NEGATIVE, last);
  engine.run('gatherRows', {
    chunks: Math.ceil(ids.size / CHUNK_ROWS),
    integers: integers(engine, args),
    work: ids.size * width,
  });
}

function scatter(engine: Engine, op: 'scatterRows' | 'scatterAddRows', args: RowsArgs): void {
  checkScatterRows(op, args);
  const { ids, out, width } = args;
  const last = Math.floor(out.size / width) - 1;
  expectIntegers(engine, op, 'ids', ids, ANY_NEGATIVE, last);
  engine.run(op, {
    chunks: Math.ceil(width / SCATTER_COLUMNS),
    integers: integers(engine, args),
    work: ids.size * width,
  });
}

export function scatterRows(engine: Engine, args: RowsArgs): void {
  scatter(engine, 'scatterRows', args);
}

export function scatterAddRows(engine: Engine, args: RowsArgs): void {
  scatter(engine, 'scatterAddRows', args);
}
