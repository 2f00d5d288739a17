// The tile of the packed products. scripts/build-kernels.mjs compiles a module for each pair of
// PRODUCT_ROWS and PRODUCT_COLUMNS; which one runs is found by timing (src/engine/choose-build.ts).
// An element is summed in the order of k in every one of them, so that all give the same bytes.
import { tile } from './tile';
import { tile5x8 } from './tile5x8';
import { tile6x16 } from './tile6x16';

export const ROWS: i32 = PRODUCT_ROWS;
export const COLUMNS: i32 = PRODUCT_COLUMNS;

/** C [ROWS, COLUMNS], rows without gaps, = A B; A is `[k][ROWS]`, B is `[k][COLUMNS]`. */
export function productTile(a: usize, b: usize, k: i32, c: usize): void {
  if (COLUMNS == 16) tile6x16(a, b, k, c);
  else if (ROWS == 5) tile5x8(a, b, k, c);
  else tile(a, b, k, c, 32, false);
}

/** Runs the tile `times` times on the operands at `a` and `b`, to be timed. */
export function repeatProductTile(times: i32, a: usize, b: usize, k: i32, c: usize): void {
  for (let i = 0; i < times; i++) productTile(a, b, k, c);
}
