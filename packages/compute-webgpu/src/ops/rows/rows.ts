import {
  BYTES_PER_ELEMENT,
  checkGatherRows,
  checkScatterRows,
  type RowsArgs,
  type Tensor,
} from '@qlorajs/compute';
import { QLoraError } from '@qlorajs/errors';
import { type KernelSpec, read, write } from '../../device/kernel.js';
import { slice } from '../../device/storage.js';
import { type Engine, flatGroups } from '../../engine.js';
import { eachElement, WIDTH } from '../../wgsl/flat.js';

/** The table's rows [firstRow, firstRow + rowCount) are bound; ids elsewhere belong to other calls. */
const PARAMS = { size: 'u32', width: 'u32', firstRow: 'i32', rowCount: 'i32' } as const;
type Param = keyof typeof PARAMS;
type RowsKernel = KernelSpec<'source' | 'ids' | 'out', Param>;

function gatherKernel(half: boolean): RowsKernel {
  const element = half
    ? 'unpack2x16float(source[(p.sourceAt + at) / 2u])[(p.sourceAt + at) % 2u]'
    : 'source[p.sourceAt + at]';
  return {
    key: half ? 'gatherRows f16' : 'gatherRows',
    bindings: { source: read(half ? 'u32' : 'f32'), ids: read('i32'), out: write() },
    params: PARAMS,
    body: eachElement(/* wgsl */ `
  let id = ids[p.idsAt + i / p.width] - p.firstRow;
  if (id >= 0 && id < p.rowCount) {
    let at = u32(id) * p.width + i % p.width;
    out[p.outAt + i] = ${element};
  } else if (id < 0 && p.firstRow == 0) {
    out[p.outAt + i] = 0.0;
  }`),
  };
}

const GATHER = gatherKernel(false);
const GATHER_F16 = gatherKernel(true);

const SCATTER: RowsKernel = {
  key: 'scatterRows',
  bindings: { source: read(), ids: read('i32'), out: write() },
  params: PARAMS,
  body: eachElement(/* wgsl */ `
  let id = ids[p.idsAt + i / p.width] - p.firstRow;
  if (id >= 0 && id < p.rowCount) {
    out[p.outAt + u32(id) * p.width + i % p.width] = source[p.sourceAt + i];
  }`),
};

/** Two elements of a row are a word of the table: the width is even. */
const SCATTER_F16: RowsKernel = {
  key: 'scatterRows f16',
  bindings: { source: read(), ids: read('i32'), out: write('u32') },
  params: PARAMS,
  body: eachElement(/* wgsl */ `
  let id = ids[p.idsAt + (2u * i) / p.width] - p.firstRow;
  if (id >= 0 && id < p.rowCount) {
    let at = p.outAt + u32(id) * p.width + (2u * i) % p.width;
    let start = p.sourceAt + 2u * i;
    out[at / 2u] = pack2x16float(vec2f(source[start], source[start + 1u]));
  }`),
};

/** A thread owns a column, since ids may repeat; `size` is the number of ids. */
const SCATTER_ADD: RowsKernel = {
  key: 'scatterAddRows',
  bindings: { source: read(), ids: read('i32'), out: write() },
  params: PARAMS,
  body: /* wgsl */ `
@compute @workgroup_size(${WIDTH})
fn main(@builtin(global_invocation_id) thread: vec3u) {
  let column = thread.x;
  if (column >= p.width) { return; }
  for (var i = 0u; i < p.size; i++) {
    let id = ids[p.idsAt + i] - p.firstRow;
    if (id >= 0 && id < p.rowCount) {
      out[p.outAt + u32(id) * p.width + column] += source[p.sourceAt + i * p.width + column];
    }
  }
}`,
};

/** Calls `visit` for parts of a table `[n, width]` that fit a binding; one call for most tables. */
function eachPart(
  engine: Engine,
  table: Tensor,
  width: number,
  visit: (part: Tensor, firstRow: number, rowCount: number) => void,
): void {
  const rows = Math.floor(table.size / width);
  // One row less than fit, for the bytes that aligning the start adds.
  const fit = Math.floor(engine.maxBinding / (width * BYTES_PER_ELEMENT[table.dtype])) - 1;
  for (let first = 0; first < rows; first += Math.max(1, fit)) {
    const count = Math.min(rows - first, Math.max(1, fit));
    visit(slice(table, first * width, count * width), first, count);
  }
}

export function gatherRows(engine: Engine, args: RowsArgs): void {
  checkGatherRows(args);
  const { source, ids, out, width } = args;
  const kernel = source.dtype === 'f16' ? GATHER_F16 : GATHER;
  eachPart(engine, source, width, (part, firstRow, rowCount) => {
    const params = { size: out.size, width, firstRow, rowCount };
    const groups = flatGroups(Math.ceil(out.size / WIDTH));
    engine.recorder.dispatch(kernel, { source: part, ids, out }, params, groups);
  });
}

export function scatterRows(engine: Engine, args: RowsArgs): void {
  checkScatterRows('scatterRows', args);
  const { source, ids, out, width } = args;
  const half = out.dtype === 'f16';
  if (half && (width % 2 !== 0 || out.offset % 2 !== 0))
    throw new QLoraError(
      'COMPUTE_SHAPE',
      `scatterRows: rows of an f16 table must be whole words of two elements, got a width of ${width} at ${out.offset}`,
      { kind: 'runtime', details: { width, offset: out.offset } },
    );
  const size = half ? source.size / 2 : source.size;
  eachPart(engine, out, width, (part, firstRow, rowCount) => {
    const params = { size, width, firstRow, rowCount };
    const groups = flatGroups(Math.ceil(size / WIDTH));
    const kernel = half ? SCATTER_F16 : SCATTER;
    engine.recorder.dispatch(kernel, { source, ids, out: part }, params, groups);
  });
}

export function scatterAddRows(engine: Engine, args: RowsArgs): void {
  checkScatterRows('scatterAddRows', args);
  const { source, ids, out, width } = args;
  eachPart(engine, out, width, (part, firstRow, rowCount) => {
    const params = { size: ids.size, width, firstRow, rowCount };
    const groups = [Math.ceil(width / WIDTH)] as const;
    engine.recorder.dispatch(SCATTER_ADD, { source, ids, out: part }, params, groups);
  });
}
