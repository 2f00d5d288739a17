/**
 * A kernel's source for gpu.js, which reads it as text: a bundler that renames things would break a
 * function. `this.thread.x` is the cell it computes; `return` is its last statement.
 *
 * WebGL 1 takes loops up to a parameter, not up to a local value.
 *
 * Every array comes with the index of its first element (`x`, `xAt`): textures cannot be sliced.
 */
export interface KernelSource {
  readonly name: string;
  /** Names of the arrays. */
  readonly arrays: readonly string[];
  /** Names of the numbers. */
  readonly numbers: readonly string[];
  readonly body: string;
}

/** Declares a kernel. */
export function kernel(
  name: string,
  arrays: readonly string[],
  numbers: readonly string[],
  body: string,
): KernelSource {
  return { name, arrays, numbers, body };
}

/** Parameters of a kernel in the order of its call. */
export function parametersOf({ arrays, numbers }: KernelSource): string[] {
  return [...arrays.flatMap((array) => [array, `${array}At`]), ...numbers];
}

/** The text that gpu.js gets. */
export function textOf(source: KernelSource): string {
  return `function (${parametersOf(source).join(', ')}) {${source.body}}`;
}

/**
 * Functions that every kernel may call. `divide` is the integer quotient: f32 division may be an ulp off
 * on a GPU, and the two comparisons mend that for operands below 2^24. `byteOf` is byte i of a storage
 * of three bytes a cell.
 */
export const HELPERS = [
  {
    source: `function divide(a, b) {
      let quotient = Math.floor(a / b);
      const rest = a - quotient * b;
      if (rest < 0) { quotient = quotient - 1; }
      if (rest >= b) { quotient = quotient + 1; }
      return quotient;
    }`,
    settings: { argumentTypes: { a: 'Number', b: 'Number' }, returnType: 'Number' },
  },
  {
    source: `function digit(cell, place, base) {
      const low = divide(cell, place);
      return low - base * divide(low, base);
    }`,
    settings: {
      argumentTypes: { cell: 'Number', place: 'Number', base: 'Number' },
      returnType: 'Number',
    },
  },
] as const;

/** Statements that split cell index `this.thread.x` into `row` and `column` of rows of `width`. */
export const ROW_AND_COLUMN = `
  const row = divide(this.thread.x, width);
  const column = this.thread.x - row * width;`;
