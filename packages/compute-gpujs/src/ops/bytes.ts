import type { Tensor } from '@qlorajs/compute';
import type { Engine } from '../engine.js';
import type { Cells } from '../gpu-js.js';
import { kernel } from '../kernel.js';
import { storageOf } from '../storage.js';

/** Three bytes a cell: those from `start` to `start + size` from `values`, one a cell, the others as before. */
const PACK = kernel(
  'packBytes',
  ['values', 'old'],
  ['start', 'size'],
  `
  const before = old[oldAt + this.thread.x];
  const high = divide(before, 65536);
  const middle = divide(before - 65536 * high, 256);
  const low = before - 65536 * high - 256 * middle;
  let cell = 0;
  for (let i = 0; i < 3; i++) {
    const at = 3 * this.thread.x + i - start;
    let byte = high;
    if (i === 1) { byte = middle; }
    if (i === 2) { byte = low; }
    if (at >= 0 && at < size) { byte = values[valuesAt + Math.max(0, Math.min(size - 1, at))]; }
    cell = 256 * cell + byte;
  }
  return cell;`,
);

/** Puts `values`, one byte a cell, into a u8 tensor; takes them over. */
export function storeBytes(engine: Engine, out: Tensor, values: Cells): void {
  const storage = storageOf(engine, out);
  const old = { ...out, offset: 0, size: storage.cells };
  const numbers = [out.offset, out.size];
  const packed = engine.run(PACK, [values, engine.whole(old)], numbers, storage.cells);
  engine.drop(values);
  engine.replace(storage, packed);
}
