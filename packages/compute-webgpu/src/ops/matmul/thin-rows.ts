import type { MatmulArgs, Tensor } from '@qlorajs/compute';
import { type KernelSpec, read, write } from '../../device/kernel.js';
import { storageOf } from '../../device/storage.js';
import { type Engine, flatGroups } from '../../engine.js';
import { Memo } from '../../memo.js';

/** Columns of an adapter's hidden rows that these kernels keep in registers. */
export const MOST = 16;
const THREADS = 256;
/** Rows and columns of the results that a thread has. */
const SQUARE = 4;
/** Floats that a staged row is longer than the tile, against bank conflicts. */
const PAD = 4;

const each = (count: number, text: (i: number) => string) =>
  Array.from({ length: count }, (_, i) => text(i)).join('\n');

const kernels = new Memo<KernelSpec>();

export const isWide = (tensor: Tensor) => tensor.offset % 4 === 0;

/** Rows of a workgroup, and the length of k that it stages. */
interface ThinTile {
  readonly rows: number;
  readonly depth: number;
}

/** Vectors of workgroup memory: both slices, or the sums of all threads. */
function vectorsOf({ rows, depth }: ThinTile, n: number): number {
  return Math.max((rows + n) * (depth / 4 + PAD / 4), (THREADS * SQUARE * SQUARE) / 4);
}

/** Fewer rows for a workgroup where there are few. */
function tileFor(engine: Engine, m: number, n: number): ThinTile {
  const rows = m >= 2048 ? 16 : 8;
  const depths = rows === 8 ? [256, 128, 64] : [128, 64];
  const fits = (depth: number) => 16 * vectorsOf({ rows, depth }, n) <= engine.workgroupMemory;
  return { rows, depth: depths.find(fits) ?? 32 };
}

/** Whether a product has as few columns as an adapter has ranks, over wide rows. */
export function isThinRows({ a, b, out, m, n, k, transposeA }: MatmulArgs): boolean {
  if (transposeA || n > MOST || n % 4 !== 0 || m < 16 || k < 256 || k % 4 !== 0) return false;
  return isWide(a) && isWide(b) && [a, b].every((each) => storageOf(each) !== storageOf(out));
}

/**
 * out = a b for a `[m, k]` and few columns. Slices of both go through workgroup memory; a thread has
 * four rows by four columns of the result, over its share of every slice, and the shares are added at
 * the end.
 */
function rowsKernel(key: string, { n, transposeB, beta }: MatmulArgs, tile: ThinTile): KernelSpec {
  const { rows, depth } = tile;
  const across = n / SQUARE;
  const down = rows / SQUARE;
  /** Threads that share a square of results. */
  const shares = Math.floor(THREADS / (across * down));
  const perRow = depth / 4;
  const stride = perRow + PAD / 4;
  // b is [n, k], staged as a is, or [k, n], of which a row is a thread's four columns and the others'.
  const loadsOf = (name: string, count: number, text: (e: string) => string) =>
    each(Math.ceil(count / THREADS), (i) => {
      const e = `local + ${i * THREADS}u`;
      const guard = (i + 1) * THREADS <= count ? 'true' : `${e} < ${count}u`;
      return `${name}${i} = vec4f(); if (${guard}) { ${text(`(${e})`)} }`.replace(
        'NAME',
        `${name}${i}`,
      );
    });
  const registersOf = (name: string, count: number) =>
    each(Math.ceil(count / THREADS), (i) => `var ${name}${i} = vec4f();`);
  const keepsOf = (name: string, count: number, place: (e: string) => string) =>
    each(Math.ceil(count / THREADS), (i) => {
      const e = `local + ${i * THREADS}u`;
      const guard = (i + 1) * THREADS <= count ? 'true' : `${e} < ${count}u`;
      return `if (${guard}) { tile[${place(`(${e})`)}] = ${name}${i}; }`;
    });
  const inSlice = (e: string) => `start + ${e} % ${perRow}u * 4u < p.k`;
  const loadA = loadsOf(
    'x',
    rows * perRow,
    (e) =>
      `if (${inSlice(e)}) { NAME = a[(p.aAt + min(firstRow + ${e} / ${perRow}u, p.m - 1u) * p.k + start) / 4u + ${e} % ${perRow}u]; }`,
  );
  const rowPlace = (e: string) => `${e} / ${perRow}u * ${stride}u + ${e} % ${perRow}u`;
  const baseOfB = rows * stride;
  const countOfB = transposeB ? n * perRow : depth * across;
  const loadB = loadsOf('y', countOfB, (e) =>
    transposeB
      ? `if (${inSlice(e)}) { NAME = b[(p.bAt + ${e} / ${perRow}u * p.k + start) / 4u + ${e} % ${perRow}u]; }`
      : `if (start + ${e} / ${across}u < p.k) { NAME = b[(p.bAt + start * ${n}u) / 4u + ${e}]; }`,
  );
  const placeB = (e: string) =>
    transposeB ? `${baseOfB}u + ${rowPlace(e)}` : `${baseOfB}u + ${e}`;
  const multiply = transposeB
    ? each(
        SQUARE,
        (r) =>
          `c${r} += vec4f(${each(SQUARE, (j) => `dot(ofA${r}, ofB${j})`).replaceAll('\n', ', ')});`,
      )
    : each(SQUARE, (r) => each(4, (i) => `c${r} += ofA${r}[${i}] * ofB${i};`));
  const takeB = transposeB
    ? each(
        SQUARE,
        (j) => `let ofB${j} = tile[${baseOfB}u + (${SQUARE}u * column + ${j}u) * ${stride}u + at];`,
      )
    : each(4, (i) => `let ofB${i} = tile[${baseOfB}u + (4u * at + ${i}u) * ${across}u + column];`);
  return {
    key,
    bindings: { a: read('vec4f'), b: read('vec4f'), out: write() },
    params: { m: 'u32', k: 'u32', alpha: 'f32', beta: 'f32' },
    merges: true,
    body: /* wgsl */ `
var<workgroup> tile: array<vec4f, ${vectorsOf(tile, n)}>;
@compute @workgroup_size(${THREADS})
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let firstRow = (group.y * groups.x + group.x) * ${rows}u;
  let column = local % ${across}u;
  let row = (local / ${across}u) % ${down}u;
  let share = local / ${across * down}u;
  ${each(SQUARE, (r) => `var c${r} = vec4f();`)}
  ${registersOf('x', rows * perRow)}
  ${registersOf('y', countOfB)}
  { let start = 0u; ${loadA} ${loadB} }
  for (var done = 0u; done < p.k; done += ${depth}u) {
    ${keepsOf('x', rows * perRow, rowPlace)}
    ${keepsOf('y', countOfB, placeB)}
    workgroupBarrier();
    // The next slices are on their way while this one is multiplied.
    let start = done + ${depth}u;
    if (start < p.k) { ${loadA} ${loadB} }
    for (var at = share; at < ${perRow}u; at += ${shares}u) {
      ${each(SQUARE, (r) => `let ofA${r} = tile[(row + ${r * down}u) * ${stride}u + at];`)}
      ${takeB}
      ${multiply}
    }
    workgroupBarrier();
  }
  if (share < ${shares}u) {
    ${each(SQUARE, (r) => `tile[((row + ${r * down}u) * ${across}u + column) * ${shares}u + (share + column) % ${shares}u] = c${r};`)}
  }
  workgroupBarrier();
  for (var e = local; e < ${rows * n}u; e += ${THREADS}u) {
    let r = firstRow + e / ${n}u;
    var sum = 0.0;
    for (var s = 0u; s < ${shares}u; s++) { sum += tile[e / 4u * ${shares}u + s][e % 4u]; }
    if (r < p.m) {
      let to = p.outAt + r * ${n}u + e % ${n}u;
      out[to] = p.alpha * sum${beta === 0 ? '' : ' + p.beta * out[to]'};
    }
  }
}`,
  };
}

export function thinRows(engine: Engine, args: MatmulArgs): void {
  const { a, b, out, m, n, k, transposeB, alpha, beta } = args;
  const tile = tileFor(engine, m, n);
  const key = `thin rows ${transposeB ? 'NT' : 'NN'} ${n} ${tile.rows}x${tile.depth}${beta === 0 ? '' : ' added'}`;
  const kernel = kernels.get(key, () => rowsKernel(key, args, tile));
  const groups = flatGroups(Math.ceil(m / tile.rows));
  engine.recorder.dispatch(kernel, { a, b, out }, { m, k, alpha, beta }, groups);
}
