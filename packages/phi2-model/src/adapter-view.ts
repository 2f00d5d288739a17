import type { Tensor } from '@qlorajs/compute';
import { QLoraError } from '@qlorajs/errors';
import { dropsHeadBias, type LoraAdapter } from '@qlorajs/lora';
import { DoraNorms } from './dora-norms.js';
import type { AdapterRun } from './pass.js';
import { trainedWeights } from './saved-modules.js';
import { TokenRows } from './token-rows.js';
import type { PhiWeights } from './weights.js';
import type { Workspace } from './workspace.js';

/** What a model keeps for an adapter. */
export interface AdapterView {
  /** The base's weights, with the copies that the adapter trains whole in their place. */
  readonly weights: PhiWeights;
  /** Null without DoRA. */
  readonly norms: DoraNorms | null;
}

/** What the model looks like with each adapter: its whole modules, its token rows, the norms of DoRA. */
export class AdapterViews {
  readonly #workspace: Workspace;
  readonly #weights: PhiWeights;
  readonly #tokenRows: TokenRows;
  readonly #views = new Map<LoraAdapter, AdapterView>();

  constructor(workspace: Workspace, weights: PhiWeights, hiddenSize: number) {
    this.#workspace = workspace;
    this.#weights = weights;
    this.#tokenRows = new TokenRows(workspace.backend, weights, hiddenSize);
  }

  of(adapter: LoraAdapter): AdapterView {
    const known = this.#views.get(adapter);
    if (known) return known;
    const norms = adapter.config.useDora
      ? new DoraNorms(this.#workspace, this.#weights, adapter)
      : null;
    const view = { weights: trainedWeights(this.#weights, adapter), norms };
    this.#views.set(adapter, view);
    return view;
  }

  /** Makes embedding and head those of an adapter, with its token rows as they are now, or the base's. */
  show(adapter: LoraAdapter | null): void {
    this.#tokenRows.show(adapter);
  }

  /** f32 `[V]`; null where PEFT computes the adapter's head without it. */
  headBias(adapter: LoraAdapter | null): Tensor | null {
    if (adapter === null) return this.#weights.head.bias;
    return dropsHeadBias(adapter.config) ? null : this.of(adapter).weights.head.bias;
  }

  /** The adapter's matrices may change. */
  expire(adapter: LoraAdapter | null): void {
    if (adapter) this.#views.get(adapter)?.norms?.expire();
  }

  /** Frees what is kept for an adapter; the base's rows are shown afterwards. */
  release(adapter: LoraAdapter): void {
    this.#tokenRows.release(adapter);
    this.#views.get(adapter)?.norms?.dispose();
    this.#views.delete(adapter);
  }

  dispose(): void {
    this.#tokenRows.dispose();
    for (const { norms } of this.#views.values()) norms?.dispose();
    this.#views.clear();
  }
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
