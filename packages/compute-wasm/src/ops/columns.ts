import {
  type ColumnSumsArgs,
  checkColumnSums,
  checkInverseRowNorms,
  checkScaleColumns,
  type InverseRowNormsArgs,
  type ScaleColumnsArgs,
} from '@qlorajs/compute';
import type { Engine } from '../engine/engine.js';
import { at } from './context.js';

/** Rows of a chunk. */
const ROWS = 4;
/** Columns of a chunk. */
const COLUMNS = 64;

export function scaleColumns(engine: Engine, args: ScaleColumnsArgs): void {
  checkScaleColumns(args);
  const { x, scale, out, accumulate } = args;
  const rows = x.size / scale.size;
  engine.run('scaleColumns', {
    chunks: Math.ceil(rows / ROWS),
    integers: [
      ...[x, scale, out].map((tensor) => at(engine, tensor)),
      ...[rows, scale.size, ROWS, accumulate ? 1 : 0],
    ],
    work: x.size,
  });
}

export function columnSums(engine: Engine, args: ColumnSumsArgs): void {
  checkColumnSums(args);
  const { a, b, out } = args;
  engine.run('columnSums', {
    chunks: Math.ceil(out.size / COLUMNS),
    integers: [
      ...[a, b, out].map((tensor) => at(engine, tensor)),
      ...[a.size / out.size, out.size, COLUMNS],
    ],
    work: a.size,
  });
}

export function inverseRowNorms(engine: Engine, args: InverseRowNormsArgs): void {
  checkInverseRowNorms(args);
  const { x, out } = args;
  engine.run('inverseRowNorms', {
    chunks: Math.ceil(out.size / ROWS),
    integers: [at(engine, x), at(engine, out), out.size, x.size / out.size, ROWS],
    work: x.size,
  });
}
