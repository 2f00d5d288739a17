import { QLoraError } from '@qlorajs/errors';
import type { LoraAdapter } from '@qlorajs/lora';
import type { DoraNorms } from './dora-norms.js';
import type { AdapterRun } from './pass.js';
import type { PhiWeights } from './weights.js';

/** What a model keeps for an adapter. */
export interface AdapterView {
  /** The base's weights, with the copies that the adapter trains whole in their place. */
  readonly weights: PhiWeights;
  /** Null without DoRA. */
  readonly norms: DoraNorms | null;
}

/** Whether an adapter changes more than its rows of a batch: then its rows run by themselves. */
export function needsOwnPass(adapter: LoraAdapter | null): boolean {
  return adapter !== null && (adapter.config.useDora || adapter.modules.size > 0);
}

/** @throws QLoraError `PHI_MIXED_ADAPTERS` for an adapter that changes more than its rows of a batch */
export function checkMixed(runs: readonly AdapterRun[]): void {
  const alone = runs.find(({ adapter }) => needsOwnPass(adapter));
  if (!alone) return;
  throw new QLoraError(
    'PHI_MIXED_ADAPTERS',
    'an adapter with DoRA or modules_to_save cannot share a batch with other adapters; run its rows by themselves',
    { details: { config: alone.adapter?.config.baseModelNameOrPath ?? null } },
  );
}
