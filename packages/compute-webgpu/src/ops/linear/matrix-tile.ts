import type { Engine } from '../../engine.js';
import { type MatrixTile, workgroupBytes } from '../../wgsl/matrix-gemm.js';

/** Tiles from large to small; the large ones do more arithmetic for every byte they stage. */
const TILES: readonly MatrixTile[] = [
  { rows: 128, columns: 128, depth: 32, subgroupRows: 64, subgroupColumns: 32 },
  { rows: 64, columns: 128, depth: 32, subgroupRows: 32, subgroupColumns: 32 },
  { rows: 64, columns: 64, depth: 32, subgroupRows: 32, subgroupColumns: 32 },
];

/** Workgroups that keep a large GPU busy. */
const BUSY = 120;

/** The largest tile that still makes enough workgroups, or the smallest. */
export function matrixTile(
  engine: Engine,
  { m, n, bAlongK }: { m: number; n: number; bAlongK: boolean },
): MatrixTile {
  const fitting = TILES.filter((tile) => workgroupBytes(tile, bAlongK) <= engine.workgroupMemory);
  const busy = fitting.find(
    (tile) => Math.ceil(m / tile.rows) * Math.ceil(n / tile.columns) >= BUSY,
  );
  return busy ?? fitting[fitting.length - 1];
}
