import { checkGatherRows, checkScatterRows, type Ops, type RowsArgs } from '@qlorajs/compute';
import type { Engine } from '../engine.js';
import { kernel, ROW_AND_COLUMN } from '../kernel.js';
import { expectIndices } from './indices.js';

const GATHER = kernel(
  'gatherRows',
  ['source', 'ids'],
  ['width'],
  `${ROW_AND_COLUMN}
  const id = ids[idsAt + row];
  let value = 0;
  if (id >= 0) { value = source[sourceAt + Math.max(0, id) * width + column]; }
  return value;`,
);

/** `rowOf` has for every row of the table the row of source that replaces it, or -1. */
const SCATTER = kernel(
  'scatterRows',
  ['source', 'rowOf', 'old'],
  ['width'],
  `${ROW_AND_COLUMN}
  const from = rowOf[rowOfAt + row];
  let value = old[oldAt + this.thread.x];
  if (from >= 0) { value = source[sourceAt + Math.max(0, from) * width + column]; }
  return value;`,
);

const SCATTER_ADD = kernel(
  'scatterAddRows',
  ['source', 'ids', 'old'],
  ['width', 'count'],
  `${ROW_AND_COLUMN}
  let sum = old[oldAt + this.thread.x];
  for (let i = 0; i < count; i++) {
    if (ids[idsAt + i] === row) { sum = sum + source[sourceAt + i * width + column]; }
  }
  return sum;`,
);

/** Rows of a table. */
export function rowsOps(
  engine: Engine,
): Pick<Ops, 'gatherRows' | 'scatterRows' | 'scatterAddRows'> {
  const checkIds = (op: string, { ids, width }: RowsArgs, size: number) =>
    expectIndices(engine, op, 'ids', ids, -(2 ** 31), size / width);
  return {
    gatherRows(args) {
      checkGatherRows(args);
      const { source, ids, out, width } = args;
      checkIds('gatherRows', args, source.size);
      engine.store(out, engine.run(GATHER, [source, ids], [width], out.size));
    },
    scatterRows(args) {
      checkScatterRows('scatterRows', args);
      const { source, out, width } = args;
      const ids = checkIds('scatterRows', args, out.size);
      const rowOf = new Float32Array(out.size / width).fill(-1);
      for (let i = 0; i < ids.length; i++) if (ids[i] >= 0) rowOf[ids[i]] = i;
      engine.store(out, engine.run(SCATTER, [source, rowOf, out], [width], out.size));
    },
    scatterAddRows(args) {
      checkScatterRows('scatterAddRows', args);
      const { source, ids, out, width } = args;
      checkIds('scatterAddRows', args, out.size);
      const numbers = [width, ids.size];
      engine.store(out, engine.run(SCATTER_ADD, [source, ids, out], numbers, out.size));
    },
  };
}
