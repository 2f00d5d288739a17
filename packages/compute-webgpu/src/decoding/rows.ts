import { NF4_CODE } from '@qlorajs/compute';
import { each } from '../wgsl/half-row.js';

/** Threads of a workgroup. */
export const THREADS = 128;
/** Rows of a weight that a thread works on: what it reads of x serves all of them. */
export const OUTPUTS = 4;
/** Codes of a load. */
const CODES = 8;
/** Loads of a row that a thread has under way, about. */
const LOADS = 10;

/** Products with NF4 weights, of which every workgroup has some rows. */
export interface RowsPlan {
  /** Threads that share a row. */
  readonly lanes: number;
  /** Rows of a workgroup. */
  readonly outputs: number;
}

/** @param widths of the weights' rows, whose products are added */
export function planOf(widths: readonly number[]): RowsPlan {
  const wanted = widths.reduce((sum, each) => sum + each, 0) / CODES / LOADS;
  const lanes = wanted > 64 ? 128 : wanted > 32 ? 64 : 32;
  return { lanes, outputs: (THREADS / lanes) * OUTPUTS };
}

/** A weight, or several by the workgroup's `segment`, with rows of `width`. */
export interface RowsTerm {
  readonly width: number;
  readonly blockSize: number;
  /** The binding of the codes in each segment. */
  readonly codes: readonly string[];
  /** WGSL: index of the four elements of x from `at` on, in an array of vec4f. */
  readonly x: (at: string) => string;
  /** WGSL: index of the scale of the first row's first block. */
  readonly scales: string;
}

/** Floats of workgroup memory. */
export function sharedFloats(plan: RowsPlan, terms: readonly RowsTerm[]): number {
  const blocks = terms.reduce((sum, { width, blockSize }) => sum + width / blockSize, 0);
  return 16 + plan.outputs * blocks + OUTPUTS * THREADS;
}

/**
 * WGSL of the sums of one row's products with rows `first` … of weights with `n` rows. Codes are on their
 * way while the workgroup fetches what else it needs; then a thread multiplies eight codes of four rows
 * by the same part of x. Expects `local`, `segment`, `first` and `n`, and leaves the sum of row
 * `first + e` in `sumOf(e)`, for e < outputs.
 * @param meanwhile statements to run before the sums; a barrier follows
 * @param added statements that add to `sum0` …, of the rows from `first + own` on, in lane `lane`
 */
export function rowSums(
  plan: RowsPlan,
  terms: readonly RowsTerm[],
  { meanwhile, added }: { meanwhile: string; added: string },
): { readonly declarations: string; readonly body: string } {
  const { lanes, outputs } = plan;
  const four = (word: string, low: number) =>
    `vec4f(${[4, 0, 12, 8].map((shift) => `table[(${word} >> ${low + shift}u) & 15u]`).join(', ')})`;
  const loadsOf = ({ width }: RowsTerm) => Math.ceil(width / CODES / lanes);
  const inside = ({ width }: RowsTerm, s: number) => (s + 1) * lanes * CODES <= width;
  const fetch = (term: RowsTerm, t: number) => {
    const cases = term.codes.map(
      (codes, i) => `${i === term.codes.length - 1 ? 'default' : `case ${i}u`}: {
      ${each(loadsOf(term), (s) => each(OUTPUTS, (o) => `word${t}_${s}_${o} = ${codes}[p.${codes}At / 4u + (row${t}_${o} + at${t}_${s}) / ${CODES}u];`))}
    }`,
    );
    return /* wgsl */ `
  ${each(OUTPUTS, (o) => `let row${t}_${o} = min(first + own + ${o}u, n - 1u) * ${term.width}u;`)}
  ${each(loadsOf(term), (s) => `let at${t}_${s} = min((lane + ${s * lanes}u) * ${CODES}u, ${term.width - CODES}u);`)}
  ${each(loadsOf(term), (s) => each(OUTPUTS, (o) => `var word${t}_${s}_${o}: u32;`))}
  switch (segment) {
    ${cases.join('\n')}
  }`;
  };
  let staged = 0;
  const starts = terms.map(({ width, blockSize }) => {
    staged += (outputs * width) / blockSize;
    return staged - (outputs * width) / blockSize;
  });
  const stage = ({ width, blockSize, scales }: RowsTerm, t: number) => {
    const blocks = width / blockSize;
    const count = outputs * blocks;
    return each(Math.ceil(count / THREADS), (i) => {
      const e = `local + ${i * THREADS}u`;
      const load = `scalesOf[${starts[t]}u + ${e}] = side[${scales} + min(first * ${blocks}u + ${e}, n * ${blocks}u - 1u)];`;
      return (i + 1) * THREADS <= count ? load : `if (${e} < ${count}u) { ${load} }`;
    });
  };
  const multiply = (term: RowsTerm, t: number) =>
    each(loadsOf(term), (s) => {
      const at = `at${t}_${s}`;
      const sums = /* wgsl */ `{
    let low = x${t}[${term.x(at)}];
    let high = x${t}[${term.x(at)} + 1u];
    let block = ${starts[t]}u + own * ${term.width / term.blockSize}u + ${at} / ${term.blockSize}u;
    ${each(
      OUTPUTS,
      (o) =>
        `sum${o} += (dot(${four(`word${t}_${s}_${o}`, 0)}, low) + dot(${four(`word${t}_${s}_${o}`, 16)}, high)) * scalesOf[block + ${(o * term.width) / term.blockSize}u];`,
    )}
  }`;
      return inside(term, s)
        ? sums
        : `if ((lane + ${s * lanes}u) * ${CODES}u < ${term.width}u) ${sums}`;
    });
  return {
    declarations: /* wgsl */ `
var<workgroup> table: array<f32, 16>;
var<workgroup> scalesOf: array<f32, ${staged}>;
var<workgroup> folded: array<f32, ${OUTPUTS * THREADS}>;
fn sumOf(e: u32) -> f32 { return folded[e % ${OUTPUTS}u * ${THREADS}u + e / ${OUTPUTS}u * ${lanes}u]; }`,
    body: /* wgsl */ `
  let own = (local / ${lanes}u) * ${OUTPUTS}u;
  let lane = local % ${lanes}u;
  ${terms.map(fetch).join('\n')}
  if (local == 0u) { ${[...NF4_CODE].map((value, i) => `table[${i}] = ${value};`).join(' ')} }
  ${terms.map(stage).join('\n')}
  ${meanwhile}
  workgroupBarrier();
  ${each(OUTPUTS, (o) => `var sum${o} = 0.0;`)}
  ${terms.map(multiply).join('\n')}
  ${added}
  ${each(OUTPUTS, (o) => `folded[${o * THREADS}u + local] = sum${o};`)}
  for (var step = ${lanes / 2}u; step > 0u; step >>= 1u) {
    workgroupBarrier();
    if (lane < step) {
      ${each(OUTPUTS, (o) => `folded[${o * THREADS}u + local] += folded[${o * THREADS}u + local + step];`)}
    }
  }
  workgroupBarrier();`,
  };
}
