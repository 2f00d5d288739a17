import { expectTensor, type Tensor } from '../../tensor.js';

/** Arguments of `gatherRows`, `scatterRows` and `scatterAddRows`; rows are of `width` elements. */
export interface RowsArgs {
  /** f32 rows of `width`; for `gatherRows` an f16 table is widened. */
  readonly source: Tensor;
  /** i32 `[n]` */
  readonly ids: Tensor;
  /** f32 rows of `width`; `scatterRows` on a GPU rounds to an f16 table. */
  readonly out: Tensor;
  readonly width: number;
}

export function checkGatherRows({ ids, out, width }: RowsArgs): void {
  expectTensor('gatherRows', 'ids', ids, 'i32', ids.size);
  expectTensor('gatherRows', 'out', out, 'f32', ids.size * width);
}

export function checkScatterRows(op: string, { source, ids, width }: RowsArgs): void {
  expectTensor(op, 'ids', ids, 'i32', ids.size);
  expectTensor(op, 'source', source, 'f32', ids.size * width);
}
