import type { ExportedRun } from './prepare-export.js';
import type { PlannedStep } from './record-steps.js';
import type { TokenRow } from './row-table.js';

/** What a run consists of, for engines that take it in another form. */
export interface RunContent {
  readonly run: ExportedRun;
  readonly rows: readonly TokenRow[];
  readonly steps: readonly PlannedStep[];
}
