import { NF4_CODE } from '@qlorajs/compute';
import { each } from '../wgsl/half-row.js';

/** Codes of a load. */
const CODES = 8;
/** Loads of a row that a thread has under way at most; as many parts of x are in its registers. */
const LOADS = 5;
/** Threads of a workgroup, at least; of SwiftShader's, and of most GPUs', no more than 256 by default. */
const THREADS = [128, 256] as const;

/** How products with NF4 weights are shared out. */
export interface RowsPlan {
  readonly threads: number;
  /** Threads that share a row. */
  readonly lanes: number;
  /** Rows that a thread works on, one after the other. */
  readonly rows: number;
  /** Rows of a workgroup. */
  readonly outputs: number;
}

/**
 * @param widths of the weights' rows, whose products are added
 * @param rows that a thread works on
 */
export function planOf(widths: readonly number[], rows: number): RowsPlan {
  const wanted = widths.reduce((sum, each) => sum + each, 0) / CODES / LOADS;
  const lanes = [32, 64, 128].find((count) => wanted <= count) ?? THREADS[1];
  const threads = Math.max(THREADS[0], lanes);
  return { threads, lanes, rows, outputs: (threads / lanes) * rows };
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
  return 16 + plan.outputs * (blocks + 16) + plan.rows * plan.threads;
}

/** Statements for the elements `e` < `count` that a thread has. */
export function eachShare(count: number, threads: number, text: (e: string) => string): string {
  return each(Math.ceil(count / threads), (i) => {
    const e = `(local + ${i * threads}u)`;
    return (i + 1) * threads <= count ? text(e) : `if (${e} < ${count}u) { ${text(e)} }`;
  });
}

/**
 * WGSL of the sums of one row's products with rows `first` … of weights with `n` rows. A thread keeps its
 * parts of x in registers and goes over its rows; while one is multiplied the next one's codes are on
 * their way. Expects `local`, `segment`, `first` and `n`; ends with the sum of row `first + e` in
 * `sumOf(e)`, for e < outputs.
 * @param meanwhile statements to run while the first codes are on their way; a barrier follows
 */
export function rowSums(
  plan: RowsPlan,
  terms: readonly RowsTerm[],
  meanwhile: string,
): { readonly declarations: string; readonly body: string } {
  const { threads, lanes, rows, outputs } = plan;
  const loads = terms.flatMap((term, t) =>
    Array.from({ length: Math.ceil(term.width / CODES / lanes) }, (_, s) => {
      const at = `(lane + ${s * lanes}u)`;
      const words = term.width / CODES;
      return { t, name: `${t}_${s}`, at, words, whole: (s + 1) * lanes <= words };
    }),
  );
  const fetch = (row: string) =>
    terms
      .map((term, t) => {
        const ofTerm = loads.filter((load) => load.t === t);
        const cases = term.codes.map((codes, i) => {
          const text = ofTerm.map(
            ({ name, at, words, whole }) =>
              `next${name} = ${codes}[base${t} + ${whole ? at : `min(${at}, ${words - 1}u)`}];`,
          );
          const label = i === term.codes.length - 1 ? 'default' : `case ${i}u`;
          return `${label}: { let base${t} = p.${codes}At / 4u + (${row}) * ${term.width / CODES}u;\n${text.join('\n')} }`;
        });
        return `switch (segment) { ${cases.join('\n')} }`;
      })
      .join('\n');
  let staged = 0;
  const starts = terms.map(({ width, blockSize }) => {
    staged += (outputs * width) / blockSize;
    return staged - (outputs * width) / blockSize;
  });
  const stage = ({ width, blockSize, scales }: RowsTerm, t: number) => {
    const blocks = width / blockSize;
    return eachShare(
      outputs * blocks,
      threads,
      (e) =>
        `scalesOf[${starts[t]}u + ${e}] = side[${scales} + min(first * ${blocks}u + ${e}, n * ${blocks}u - 1u)];`,
    );
  };
  const four = (word: string, low: number) =>
    `vec4f(${[4, 0, 12, 8].map((shift) => `table[(${word} >> ${low + shift}u) & 15u]`).join(', ')})`;
  const multiply = loads.map(({ t, name, at, words, whole }) => {
    const { width, blockSize } = terms[t];
    const scale = `scalesOf[${starts[t]}u + row * ${width / blockSize}u + ${whole ? at : `min(${at}, ${words - 1}u)`} / ${blockSize / CODES}u]`;
    return `sum += (dot(${four(`word${name}`, 0)}, low${name}) + dot(${four(`word${name}`, 16)}, high${name})) * ${scale};`;
  });
  // Threads that add up a row's sums of lanes, before one of them adds theirs.
  const shares = Math.min(16, threads / outputs);
  return {
    declarations: /* wgsl */ `
var<workgroup> table: array<f32, 16>;
var<workgroup> scalesOf: array<f32, ${staged}>;
var<workgroup> folded: array<f32, ${rows * threads}>;
var<workgroup> parts: array<f32, ${outputs * shares}>;
fn sumOf(e: u32) -> f32 {
  var sum = 0.0;
  for (var i = 0u; i < ${shares}u; i++) { sum += parts[e * ${shares}u + i]; }
  return sum;
}`,
    body: /* wgsl */ `
  let lane = local % ${lanes}u;
  let own = (local / ${lanes}u) * ${rows}u;
  ${loads.map(({ name }) => `var next${name}: u32;`).join('\n')}
  ${fetch('min(first + own, n - 1u)')}
  ${loads
    .map(({ t, name, at, words, whole }) => {
      const place = terms[t].x(`${CODES}u * ${whole ? at : `min(${at}, ${words - 1}u)`}`);
      const inside = whole ? '1.0' : `select(0.0, 1.0, ${at} < ${words}u)`;
      return `let low${name} = x${t}[${place}] * ${inside};\nlet high${name} = x${t}[${place} + 1u] * ${inside};`;
    })
    .join('\n')}
  if (local == 0u) { ${[...NF4_CODE].map((value, i) => `table[${i}] = ${value};`).join(' ')} }
  ${terms.map(stage).join('\n')}
  ${meanwhile}
  workgroupBarrier();
  for (var r = 0u; r < ${rows}u; r++) {
    ${loads.map(({ name }) => `let word${name} = next${name};`).join('\n')}
    if (r < ${rows - 1}u) {
      ${fetch('min(first + own + r + 1u, n - 1u)')}
    }
    let row = own + r;
    var sum = 0.0;
    ${multiply.join('\n')}
    folded[row * ${lanes}u + lane] = sum;
  }
  workgroupBarrier();
  if (local < ${outputs * shares}u) {
    let row = local / ${shares}u;
    var sum = 0.0;
    ${each(lanes / shares, (i) => `sum += folded[row * ${lanes}u + local % ${shares}u + ${i * shares}u];`)}
    parts[local] = sum;
  }
  workgroupBarrier();`,
  };
}
