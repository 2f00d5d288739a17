// The register-blocked inner kernel of attention, and of products unless a wider tile is faster there
// (product-tile.ts): C [ROWS, 8] = or += A B over packed panels.
// A is `[k][ROWS]`, B is `[k][8]`. The tile shapes were measured: 4x8 keeps eight accumulators, two
// rows of B and the temporaries in 16 registers; with a fused multiply-add 6x8 fits as well.
import { tile4x8 } from './tile4x8';
import { tile6x8 } from './tile6x8';

export const ROWS: i32 = ASC_FEATURE_RELAXED_SIMD ? 6 : 4;
export const COLUMNS: i32 = 8;

/** C has `stride` bytes a row. Every element is summed in the order of k, wherever it lies in the tile. */
export function tile(a: usize, b: usize, k: i32, c: usize, stride: usize, accumulate: bool): void {
  if (ASC_FEATURE_RELAXED_SIMD) tile6x8(a, b, k, c, stride, accumulate);
  else tile4x8(a, b, k, c, stride, accumulate);
}
