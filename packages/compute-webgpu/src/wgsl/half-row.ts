import { read, write } from '../device/kernel.js';
import { eachRow, REDUCE, WIDTH } from './flat.js';

/** Elements that a thread has in its registers, four at a time, of a row as wide as Phi-2's MLP. */
export const WIDEST = WIDTH * 4 * 12;

export const each = (count: number, text: (i: number) => string) =>
  Array.from({ length: count }, (_, i) => text(i)).join('\n');

/** Groups of four that a thread has of a row. */
export function groupsOf(width: number): number {
  return Math.ceil(width / (4 * WIDTH));
}

/** Bindings of {@link halfRow}'s f16 output. */
export const HALF_BINDINGS = { values: write('vec4h'), scales: write() };
export const wide = read('vec4f');

/**
 * The program of a workgroup a row: `load` declares `value0`…, a vec4f for every group at element
 * `c0`…, which are zero beyond the row; they go to `out`, and to `values` in f16, times the power of two
 * that `halfRows` would choose.
 * @param keeps whether there is an `out`
 */
export function halfRow(width: number, load: string, declarations: string, keeps = true): string {
  const count = groupsOf(width);
  return eachRow(
    /* wgsl */ `
  ${each(count, (i) => `let c${i} = 4u * (local + ${i * WIDTH}u); let in${i} = c${i} < ${width}u;`)}
  ${load}
  var largest = vec4f();
  ${each(count, (i) => `largest = max(largest, abs(value${i}));`)}
  let all = reduceMax(max(max(largest.x, largest.y), max(largest.z, largest.w)), local);
  let exponent = (bitcast<u32>(all) >> 23u) & 255u;
  let plain = exponent == 0u || exponent == 255u;
  let power = select(clamp(268u - exponent, 1u, 253u), 127u, plain);
  let factor = bitcast<f32>(power << 23u);
  ${each(
    count,
    (i) => `if (in${i}) {
    ${keeps ? `out[(p.outAt + row * ${width}u + c${i}) / 4u] = value${i};` : ''}
    values[(p.valuesAt + row * ${width}u + c${i}) / 4u] = vec4h(value${i} * factor);
  }`,
  )}
  if (local == 0u) { scales[p.scalesAt + row] = bitcast<f32>((254u - power) << 23u); }`,
    `${REDUCE}\n${declarations}`,
  );
}
