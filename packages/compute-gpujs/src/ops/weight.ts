import { type LinearWeight, NF4_CODE, type Nf4Weight } from '@qlorajs/compute';
import type { Engine, Operand } from '../engine.js';
import type { Cells } from '../gpu-js.js';
import { kernel } from '../kernel.js';

/** Byte `index` of an array of three bytes a cell, as statements that declare `byte`. */
export const readByte = (array: string, index: string) => `
  const byteAt = ${array}At + ${index};
  const cellAt = divide(byteAt, 3);
  let place = 65536;
  if (byteAt - 3 * cellAt > 0.5) { place = 256; }
  if (byteAt - 3 * cellAt > 1.5) { place = 1; }
  const byte = digit(${array}[cellAt], place, 256);`;

/** map[code] * absmax, rounded to f32 when it is stored: a GPU must not fuse it with the sum that follows. */
const SCALE_PRODUCTS = kernel(
  'scaleProducts',
  ['codes', 'map', 'absmax'],
  ['first', 'blockSize'],
  `${readByte('codes', 'first + this.thread.x')}
  return map[mapAt + byte] * absmax[absmaxAt + divide(first + this.thread.x, blockSize)];`,
);

/** Decodes two codes a byte: element i is table[code] * (scale of its block + offset). */
const DECODE = kernel(
  'decodeNf4',
  ['codes', 'scales', 'table'],
  ['firstByte', 'firstBlock', 'blockSize', 'offset'],
  `
  const half = divide(this.thread.x, 2);${readByte('codes', 'firstByte + half')}
  const high = divide(byte, 16);
  let code = high;
  if (this.thread.x - 2 * half > 0.5) { code = byte - 16 * high; }
  const block = firstBlock + divide(this.thread.x, blockSize);
  const scale = Math.fround(scales[scalesAt + block] + offset);
  return table[tableAt + code] * scale;`,
);

/** Most elements that are dequantized at a time. */
const PANEL = 2 ** 22;

/** Rows of a weight that are multiplied at a time. */
export interface Panel {
  readonly firstRow: number;
  readonly rows: number;
}

/** A dense weight as one panel; an NF4 weight as panels that begin with a whole block and a whole byte. */
export function panelsOf(weight: LinearWeight): Panel[] {
  const [rows, width] = weight.shape;
  if (weight.kind === 'dense') return [{ firstRow: 0, rows }];
  const unit = 2 * weight.blockSize;
  const step = Math.max(1, Math.floor(PANEL / width / unit)) * unit;
  return Array.from({ length: Math.ceil(rows / step) }, (_, i) => ({
    firstRow: i * step,
    rows: Math.min(step, rows - i * step),
  }));
}

/** A panel of an NF4 weight as dense cells. */
export function decode(engine: Engine, weight: Nf4Weight, { firstRow, rows }: Panel): Cells {
  const { codes, scales, blockSize, shape } = weight;
  const [start, count] = [firstRow * shape[1], rows * shape[1]];
  const firstBlock = start / blockSize;
  const table = engine.constant(NF4_CODE);
  const decodeWith = (cells: Operand, first: number, offset: number) =>
    engine.run(DECODE, [codes, cells, table], [start / 2, first, blockSize, offset], count);
  if (scales.kind === 'plain') return decodeWith(scales.absmax, firstBlock, 0);
  const products = engine.run(
    SCALE_PRODUCTS,
    [scales.codes, scales.codeMap, scales.absmax],
    [firstBlock, scales.blockSize],
    Math.ceil(count / blockSize),
  );
  const values = decodeWith(products, 0, scales.offset);
  engine.drop(products);
  return values;
}

/** A panel of any weight, to multiply by; `engine.drop` it after use. */
export function panelValues(engine: Engine, weight: LinearWeight, panel: Panel): Operand {
  return weight.kind === 'dense' ? weight.values : decode(engine, weight, panel);
}
